"""Saves and restores, as the executor starts and watches them."""
