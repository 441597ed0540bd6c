"""From an installation of the reference product to a home: read, told key by key, copied, never touched."""
