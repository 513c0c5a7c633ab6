"""The object store's adapter against a real server, and that server itself."""
