"""Ask a running Runyard whether it is ready for a first prompt."""

from __future__ import annotations

import json
import urllib.request

from cli.local.data_dir import DataDir
from schema.wire import Json


def is_ready(url: str) -> bool:
    """Whether the API serves requests and the job worker has reported that it runs."""
    return _get(f"{url}/ready").get("worker") == "ok"


def has_providers(data_dir: DataDir, url: str) -> bool:
    return bool(_get(f"{url}/api/providers", token=data_dir.token.read_text().strip()).get("items"))


def _get(address: str, *, token: str | None = None) -> Json:
    """Return the JSON object at the URL; an empty object without an answer or for other content."""
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=5) as answer:  # noqa: S310
            body: Json = json.load(answer)
            return body
    except (OSError, ValueError):
        return {}
