"""The API as a server process or in this one, and places for agents."""

from __future__ import annotations

from tests.integration.functions.conftest import api, provided, serve, served, settings

__all__ = ["api", "provided", "serve", "served", "settings"]
