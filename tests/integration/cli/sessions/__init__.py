"""Tests of the commands about sessions and runs."""
