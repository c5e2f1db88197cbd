"""The subcommands of `voxloop` that live here; each file is one, imported only when it is called."""
