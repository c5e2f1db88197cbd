"""What becomes of each utterance: one wide record, its sound where that was agreed to, and what people say of it."""
