"""Saves and restores a session's two roots. `python -m executor.snapshotter` is the engine, a process of its own."""
