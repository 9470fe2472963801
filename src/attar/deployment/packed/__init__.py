"""Files that are really small: codes of few bits, entropy coded, and the small tables that they are read with."""
