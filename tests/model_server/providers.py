"""The shipped providers.toml with its three agents turned to a scripted model."""

from __future__ import annotations

import json
from pathlib import Path

SHIPPED = Path(__file__).parents[2] / "providers.toml"
KEY = "sk-scripted-0123456789"

CODEX_LINE = "check_for_update_on_startup = false\n"
CODEX_MODEL = """model = "scripted"
model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "{url}/v1"
env_key = "CODEX_API_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""
OPENCODE_LINE = '"autoupdate": false,'


def scripted_providers(url: str) -> str:
    """The text of a providers.toml. Its agents also need the variables of `scripted_environment`."""
    opencode = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Scripted",
        "options": {"baseURL": f"{url}/v1", "apiKey": KEY},
        "models": {
            "scripted": {
                "name": "Scripted",
                "limit": {"context": 100000, "output": 4096},
                "cost": {"input": 1, "output": 2, "cache_read": 0.1, "cache_write": 1},
            }
        },
    }
    extra = f'"model": "scripted/scripted", "provider": {json.dumps({"scripted": opencode})},'
    text = SHIPPED.read_text(encoding="utf-8")
    for line, replacement in (
        (CODEX_LINE, CODEX_LINE + CODEX_MODEL.format(url=url)),
        (OPENCODE_LINE, f"{OPENCODE_LINE} {extra}"),
    ):
        if text.count(line) != 1:
            raise ValueError(f"providers.toml no longer has exactly one {line!r}")
        text = text.replace(line, replacement)
    return text


def scripted_environment(url: str) -> dict[str, str]:
    """The variables of Runyard's environment from which the three agents take their login and address."""
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": KEY,
        "CODEX_API_KEY": KEY,
        "OPENCODE_API_KEY": KEY,
    }
