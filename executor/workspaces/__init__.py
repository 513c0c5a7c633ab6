"""Save and restore the session's workspace through a snapshotter process."""
