"""The service inside a worker: it drives the agent, spools its events and delivers them. It never sees Postgres."""

RUNTIME_VERSION = "0.1.0"
"""What an app's runtime manifest is checked against."""
