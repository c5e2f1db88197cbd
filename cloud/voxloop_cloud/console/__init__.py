"""The console: what a person sees and steers of a server, in a browser (docs/console.md)."""
