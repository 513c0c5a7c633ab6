"""Routes of session workers."""
