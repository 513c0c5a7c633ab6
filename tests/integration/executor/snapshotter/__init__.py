"""The engine that saves and restores a session's two roots, against a server of objects."""
