"""A small real ACP agent that needs no model account (see __main__.py)."""
