"""The program and the doors: `python -m programs.run` and its siblings."""
