"""Verbs: what Runyard does, each a function on an open transaction. No web, no containers; nothing in here commits."""
