"""A pair of servers with one shared address: what keepalived asks of each, and how an old pair moves in."""
