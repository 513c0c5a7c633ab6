"""The adapter of the object store."""
