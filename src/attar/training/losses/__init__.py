"""What can be minimized: one value per example, from the student's output and the batch."""
