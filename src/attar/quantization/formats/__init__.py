"""One number format a file."""
