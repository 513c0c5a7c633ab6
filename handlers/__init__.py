"""Verbs: what Runyard does, each a function on an open transaction. They know no HTTP and no containers, and never commit."""
