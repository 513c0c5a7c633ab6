"""Run agents inside a worker: drive the agent, spool its events, deliver them. The executor never connects to
Postgres."""

RUNTIME_VERSION = "0.1.0"
"""The version that an app's runtime manifest is checked against."""
