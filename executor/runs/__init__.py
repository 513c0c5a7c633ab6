"""Runs in an executor: spool, delivery, fences."""
