"""Callbacks of executors and of drivers of bound runs."""
