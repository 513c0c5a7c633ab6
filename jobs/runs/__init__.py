"""Jobs that start, stop, park and reconcile runs."""
