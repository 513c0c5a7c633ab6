"""The job worker's runtime: settings, database connections, renewals and the executor client."""
