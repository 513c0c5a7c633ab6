"""The HTTP service of the executor."""
