"""Run the executor as a process: settings, accounts, children, egress."""
