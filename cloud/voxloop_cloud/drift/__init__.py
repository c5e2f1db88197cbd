"""Says when utterances are no longer as they were, by how much, and at which stage that began."""
