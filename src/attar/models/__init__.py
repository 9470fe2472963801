"""Models: what flows between steps, and how one is saved and rebuilt from its spec."""
