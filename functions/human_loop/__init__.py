"""Routes of requests to people, and of approval rules."""
