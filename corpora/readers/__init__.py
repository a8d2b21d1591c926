"""One module a format that corpora and notes are read from."""
