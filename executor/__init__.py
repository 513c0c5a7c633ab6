"""The service inside a worker: it drives the agent, spools its events and delivers them. It never sees Postgres."""
