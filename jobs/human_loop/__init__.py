"""Jobs of requests to people."""
