"""Side by side with other servers: the same files, the same clients, every byte compared. Run with `make bench`."""
