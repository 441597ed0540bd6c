"""Staged roll-out: a release for some phones first, by addresses, models and groups; it halts by itself."""
