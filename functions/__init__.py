"""The HTTP edge: parses, authenticates, opens one transaction, calls one verb, maps the outcome. Also for FaaS."""
