"""`hydra/sweeper=cells`: sweeps over a list of cells where a grid would have cells too many."""
