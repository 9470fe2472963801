"""Low-bit number formats, and networks whose weights and activations are in them."""
