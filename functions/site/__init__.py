"""Pages, health and version."""
