"""Guard a run against what a workspace, or a file that an earlier turn left in the home, would have an agent do."""
