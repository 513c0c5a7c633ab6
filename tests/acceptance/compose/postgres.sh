#!/bin/sh
# What the official image does of its own at its first start: the user, its password, the database.
set -e
data=/var/lib/postgresql/data
if [ ! -e $data/PG_VERSION ]; then
    initdb -D $data -U "$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C --locale-provider=builtin --builtin-locale=C.UTF-8
    echo "host all all all scram-sha-256" >>$data/pg_hba.conf
    echo "CREATE DATABASE $POSTGRES_DB" | postgres --single -D $data postgres
fi
exec postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp
