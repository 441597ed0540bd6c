"""Writes scripts and settings files for phones: from answers, and from the firmware that is really there."""
