"""What the `voxloop` command can do with models in the making."""
