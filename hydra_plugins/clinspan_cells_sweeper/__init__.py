"""Sweepers: `hydra/sweeper=cells` over a list of cells where a grid would have cells too many, and that of `-m`."""
