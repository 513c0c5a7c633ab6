"""All tests share real databases (`database`, `conn`), object stores (`object_store`, `hurt_store`) and the promises kept in `guards`."""

pytest_plugins = ["tests.databases", "tests.object_stores", "tests.guards", "pytester"]
