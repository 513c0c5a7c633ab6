#!/bin/sh
# The store of `make up` with RustFS's variables.
set -e
{ cat "$RUSTFS_ACCESS_KEY_FILE"; echo; cat "$RUSTFS_SECRET_KEY_FILE"; } >/tmp/key
exec python -m cli.local.object_store_server --folder "$RUSTFS_VOLUMES" --key-file /tmp/key \
    --port "${RUSTFS_ADDRESS#:}" --also "$(hostname -i)"
