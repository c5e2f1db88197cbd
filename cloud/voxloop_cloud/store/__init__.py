"""What the server remembers: utterances, and what was decided about them."""
