"""What a job worker holds: settings, connections, the executor client."""
