"""One generalist and specialists for classes that are often taken for each other."""
