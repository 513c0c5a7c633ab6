"""Following a session log: WebSocket and server-sent events."""
