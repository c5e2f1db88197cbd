"""From a checkpoint to a bundle that the server loads, with proof that both say the same."""
