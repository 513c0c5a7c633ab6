"""Routes of usage: tokens and cost."""
