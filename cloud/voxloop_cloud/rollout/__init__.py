"""Whether a new bundle may answer: evidence, a test that bears looking, a verdict, a guard that acts on it."""
