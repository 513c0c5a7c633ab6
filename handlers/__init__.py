"""Verbs: what Runyard does, each a function on an open transaction. Verbs know no HTTP and never commit."""
