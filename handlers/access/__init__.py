"""Who may do what: users, tokens, permissions."""
