"""The program itself: signature, `Tagger`, strategy, instructions, demonstrations, label names."""
