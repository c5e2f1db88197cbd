"""Version 1 of the wire: generated from voxloop.proto by scripts/proto, never edited by hand."""
