"""What a unit is worth: one signal a file, under one interface."""
