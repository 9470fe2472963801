"""The road that every method walks: steps, what they may use, and the nodes in which their results are kept."""
