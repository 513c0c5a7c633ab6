"""Providers: what they declare, and what a run may use."""
