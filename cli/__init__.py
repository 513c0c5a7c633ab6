"""The command line: one machine's supervisor (`up`), a terminal chat, and the operator's commands.

A person triggers this edge, as HTTP requests trigger functions/. `up` starts the other parts as child processes and
never imports them. The chat uses the public API only. The operator's commands call verbs of handlers/.
"""
