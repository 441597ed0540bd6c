"""mv-iptel: the file server that IP desk phones ask when they boot."""

__version__ = "0.1.0"
