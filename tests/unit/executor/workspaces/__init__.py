"""Tests of the executor's workspace."""
