"""Run coding agents behind the Agent Client Protocol. Protocol types stay in this package; callers see Runyard's
types."""
