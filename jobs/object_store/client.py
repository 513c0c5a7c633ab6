"""Open clients of S3 for the adapter."""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from jobs.object_store.deletions import send_md5
from jobs.object_store.errors import translating_errors
from jobs.object_store.settings import StoreSettings
from schema.store_client import client_keywords

READ_SECONDS = 30.0
ATTEMPTS = 3
CONNECTIONS = 32

_opening = threading.Lock()
"""A boto3 session creates one client at a time. The clients are thread-safe."""


@cache
def _session() -> Any:
    """Return the process's session. It loads the description of S3 once, which is slow."""
    return boto3.session.Session()


def make_config(*, read_seconds: float, attempts: int) -> Config:
    keywords = client_keywords(read_seconds=read_seconds, attempts=attempts, connections=CONNECTIONS)
    return Config(tcp_keepalive=True, **keywords)


def open_client(settings: StoreSettings, endpoint_url: str | None, config: Config) -> Any:
    with translating_errors("opening"), _opening:
        client = _session().client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=settings.region,
            aws_access_key_id=settings.access_key_id,
            aws_secret_access_key=settings.secret_access_key,
            config=config,
        )
    send_md5(client)
    return client
