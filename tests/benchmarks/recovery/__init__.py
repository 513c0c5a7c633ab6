"""How long Runyard takes to recover from each fault of a table (`make bench ARGS=recovery`)."""
