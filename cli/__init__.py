"""The command line: one machine's supervisor (`up`), a terminal chat, and the operator's commands.

An edge like functions/, with a person as its trigger. It starts the other parts as child processes and never imports
them; the chat is a client of the public API only; the operator's commands call verbs of handlers/.
"""
