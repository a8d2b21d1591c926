"""From the command line to objects: Hydra entry, configuration, builders, privacy, observability, sweeps."""
