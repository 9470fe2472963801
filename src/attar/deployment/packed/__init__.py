"""Files that are really small: low-bit codes, entropy coded, and the small tables that they are read with."""
