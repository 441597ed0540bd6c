"""Firmware from a zip to the phones: taken in, published, rolled out in stages, scanned for."""
