"""Shared by all routes: authentication, problems, OpenAPI, parsing, tracing."""
