"""Jobs that save, restore and verify workspaces."""
