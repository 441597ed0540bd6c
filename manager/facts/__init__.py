"""What the pages tell, read from the inventory, the files and the server; no HTTP here."""
