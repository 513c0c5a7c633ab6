"""What every route shares: authentication, problems, OpenAPI, parsing, tracing."""
