"""Who may speak to the server, how much, and who is told of it."""
