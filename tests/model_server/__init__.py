"""A scripted model on loopback for the real agents: see __main__.py."""
