"""What a run is made of: pieces of work that are done once and found again."""
