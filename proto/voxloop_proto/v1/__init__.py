"""Version 1 of the wire: generated from the .proto files by scripts/proto, never edited by hand."""
