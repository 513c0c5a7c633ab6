"""Jobs about the files of sessions: reading a live workspace."""
