"""User data: what phones hand the server to keep, by extension and phone type."""
