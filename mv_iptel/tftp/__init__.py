"""TFTP: packets apart from sockets, and the engine that serves many phones from one thread."""
