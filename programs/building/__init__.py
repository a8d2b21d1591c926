"""Builders: from a config to the corpus, the model, the tagger and the optimizer of a command. They return values."""
