"""Serve HTTP: parse, authenticate, open one transaction, call one verb, map the outcome. Also as a function."""
