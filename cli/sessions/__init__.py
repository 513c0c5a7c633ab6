"""Commands about sessions and runs, over the API: list them, show a run, open the portal."""
