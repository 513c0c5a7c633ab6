"""The object store: its contract, and the adapter for S3."""
