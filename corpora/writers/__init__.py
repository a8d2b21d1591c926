"""Writers of corpora and annotated notes, one module per format."""
