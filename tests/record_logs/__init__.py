"""Record the logs of the four agents that the fold of transcripts is tested with, here and in the portal."""
