"""The trial object store: a small part of the S3 API over a folder, on loopback or a private address.

Runyard has its own store because the tested embeddable stores acknowledge data that is not on the disk (DECISIONS.md).
An acknowledged object is complete on the disk and survives a kill. The server serves only requests that the one key has
signed. It supports no multipart uploads and no versions, so it does not suit a deployment.
"""
