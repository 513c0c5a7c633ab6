"""Held by an API process: settings, connections, notifier, limits."""
