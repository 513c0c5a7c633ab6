"""Routes of providers."""
