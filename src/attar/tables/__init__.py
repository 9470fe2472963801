"""Tables: what their columns hold, and the plain matrix of numbers that the rest works on."""
