"""Files of sessions over HTTP, read from snapshots in the object store without a worker."""
