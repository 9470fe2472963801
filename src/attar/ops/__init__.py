"""Pure functions of tensors: no modules, no files, no state."""
