"""One module a format that corpora and annotated notes are written in."""
