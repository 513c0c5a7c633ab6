"""All tests share real databases (`database`, `conn`) and the promises kept in `guards`."""

pytest_plugins = ["tests.databases", "tests.guards", "pytester"]
