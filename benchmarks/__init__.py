"""Side by side with other servers: same files, same clients, every byte compared. Run with `make bench`."""
