"""What an API process holds: settings, connections, notifier, limits."""
