"""Measurements of reading a session's saved files."""
