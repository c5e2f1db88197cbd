"""The server: turns segments into text with onnxruntime, and measures every stage."""
