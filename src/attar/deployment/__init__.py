"""From a trained student to files that a runtime executes."""
