"""What can be chosen of low-bit files; plain values, as whoever opens an artifact reads them without torch."""

CODERS = ("smallest", "bits")
"""``bits`` packs each code into the bits of the format, or digits into bytes; ``smallest`` codes by frequencies where
that takes less."""

FLOATS = ("float32", "float16")
"""How what is not quantized is stored. ``float16`` halves it and rounds it: a relative error of up to 2**-11."""

WIDTHS = (2, 4, 8)
"""Bits in which the operator MatMulNBits executes linear layers."""
