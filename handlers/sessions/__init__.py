"""Sessions: create, rename, delete."""
