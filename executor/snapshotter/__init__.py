"""Save and restore a session's two roots. `python -m executor.snapshotter` runs the snapshotter in its own process."""
