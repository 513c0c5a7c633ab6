"""Jobs for agents' requests to people."""
