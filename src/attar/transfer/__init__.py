"""The transfer set: data sets, views of their examples, and the store of what teachers said about them."""
