"""Data sets, views of their examples, made rows, and the store of what teachers said about them."""
