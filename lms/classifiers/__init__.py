"""Models that give every word a class, without a prompt."""
