"""How new parts of a network start, where they go, and when it happens."""
