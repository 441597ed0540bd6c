"""What the server is doing, for people and for machines: totals, snapshot, metrics and the status server."""
