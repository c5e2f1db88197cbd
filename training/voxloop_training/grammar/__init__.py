"""The grammar: an n-gram of words, and its union with the lexicon into a decoding graph."""
