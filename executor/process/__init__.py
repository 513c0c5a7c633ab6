"""The executor as a process: settings, accounts, children, egress."""
