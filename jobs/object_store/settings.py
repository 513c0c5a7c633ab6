"""What the object store's adapter is told; importing it does not import boto3."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StoreSettings:
    """`endpoint_url` None is AWS itself; without a key AWS's own chain of credentials is asked. `worker_endpoint_url`
    is where workers reach the same store, when that is another address."""

    bucket: str
    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    worker_endpoint_url: str | None = None
    link_seconds: int = 900
