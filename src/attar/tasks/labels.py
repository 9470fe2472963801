"""What says that a label is not known."""

ABSENT = -1
"""The label of an example (or a position) whose class is not known. Terms that need a label give it the loss 0."""
