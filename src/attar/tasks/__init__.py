"""What a network's outputs mean: one file a task, and one home for all metrics."""
