"""Define the version of this clone."""

VERSION = "0.1.0"
