"""Jobs that activate, stop and remove session workers."""
