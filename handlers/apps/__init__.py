"""Apps of the app store."""
