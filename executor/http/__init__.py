"""Serve the executor's HTTP API."""
