"""What `programs.annotate` is made of: notes in, annotated files out, in one process or on a Ray cluster."""
