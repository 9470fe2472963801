"""Number formats of few bits, and networks whose weights and activations are in them."""
