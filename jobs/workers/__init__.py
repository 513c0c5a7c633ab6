"""Jobs that activate and retire session workers."""
