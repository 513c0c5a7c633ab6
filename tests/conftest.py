"""All tests share real databases (`database`, `conn`), object stores (`object_store`, `hurt_store`), the container
engine (`docker_client`, `engine_to_stop`) and the promises kept in `guards`."""

pytest_plugins = [
    "tests.databases",
    "tests.pgbouncer",
    "tests.object_stores",
    "tests.guards",
    "tests.tiers",
    "tests.container_engine",
    "pytester",
]
