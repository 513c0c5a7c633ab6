"""Verbs of sessions without a database."""
