"""The two files that a network is built again from; a backend may run one of them itself."""

WEIGHTS = "student.safetensors"
"""All weights as numbers."""

PACKED = "student.packed.safetensors"
"""The low-bit codes of a student that `quantize` made, and what of it stays float."""
