"""Made-up rows for the transfer set: by MUNGE, from a mixture model, or every attribute by itself."""
