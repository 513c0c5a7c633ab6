"""The conformance probe: what each pinned version of an agent really does. See __main__.py."""
