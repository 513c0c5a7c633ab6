#!/bin/sh
# The store of `make up` with RustFS's variables.
set -e
printf '%s\n%s\n' "$RUSTFS_ACCESS_KEY" "$RUSTFS_SECRET_KEY" >/tmp/key
exec python -m cli.local.object_store_server --folder "$RUSTFS_VOLUMES" --key-file /tmp/key \
    --port "${RUSTFS_ADDRESS#:}" --also "$(hostname -i)"
