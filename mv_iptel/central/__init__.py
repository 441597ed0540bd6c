"""Between mv-iptel servers: the central server's interface, and the branch that asks it."""
