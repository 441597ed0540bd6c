"""FTP and FTPS: user data of 4600 sets, and the superuser; the protocol itself is pyftpdlib's."""

import warnings

# pyftpdlib stands on asyncore and says so by a warning that no operator can do anything about.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import pyftpdlib.handlers
    import pyftpdlib.ioloop  # noqa: F401
