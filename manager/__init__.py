"""The web manager: a process of its own that shows the file server and changes it through its files."""
