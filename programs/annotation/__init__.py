"""The parts of `programs.annotate`, which reads notes and writes annotated files, in one process or on a Ray cluster."""
