"""Coding agents behind the Agent Client Protocol. Protocol types stay in here; what leaves are our own wire types."""
