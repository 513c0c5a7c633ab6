"""Requests to people, their answers, and approval rules."""
