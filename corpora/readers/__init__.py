"""Readers of corpora and notes, one module per format."""
