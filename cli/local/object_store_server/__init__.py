"""An object store for trying Runyard out: a small part of the S3 API over a folder, on loopback only.

It exists because the embeddable stores that were found acknowledge what is not on the disk (DECISIONS.md). Its one
contract: what it has acknowledged is on the disk, whole, and is there after a kill; and nobody is served without a
signature of the one key. It knows no multipart uploads, no copies, no versions: it is no store for a deployment.
"""
