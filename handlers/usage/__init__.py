"""Usage: tokens and cost of settled runs."""
