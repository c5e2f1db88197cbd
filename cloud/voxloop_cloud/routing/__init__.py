"""Which bundle answers a segment, which ones listen in, and who decides that."""
