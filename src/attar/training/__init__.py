"""THE loop, what it minimizes, and how it survives a crash."""
