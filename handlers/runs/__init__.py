"""Runs: start, queue, claim, settle, stop."""
