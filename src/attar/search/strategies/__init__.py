"""One way to search a file: each makes proposals from the trials so far."""
