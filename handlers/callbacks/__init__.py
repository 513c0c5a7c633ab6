"""Callbacks: events that executors report."""
