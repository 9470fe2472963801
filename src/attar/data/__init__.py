"""Data sets, views of their examples, synthetic rows, and the store of targets."""
