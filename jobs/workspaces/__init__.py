"""Jobs that sync, restore and verify workspaces."""
