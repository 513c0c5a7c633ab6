"""Routes of the signed-in user: who they are, their settings, tokens and browsers."""
