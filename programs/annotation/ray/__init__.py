"""Annotating by shards with Ray Data: driver, workers, shards."""
