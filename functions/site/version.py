"""The version that this clone calls itself."""

VERSION = "0.1.0"
