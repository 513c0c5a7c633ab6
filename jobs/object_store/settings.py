"""Settings of the object store's adapter. The import does not import boto3."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class StoreSettings:
    """Settings of a bucket. `endpoint_url` None means AWS; without a key boto3 uses AWS's credential chain.

    `worker_endpoint_url` is the store's URL for workers when it differs.
    """

    bucket: str
    endpoint_url: str | None = None
    region: str = "us-east-1"
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    worker_endpoint_url: str | None = None
    link_seconds: int = 900
