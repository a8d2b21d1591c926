"""The paper's published figures, and ours beside them."""
