"""Routes of snapshots and restore plans."""
