"""Workspaces: saving, restoring, snapshots, garbage."""
