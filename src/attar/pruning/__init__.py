"""Removing channels: which belong together, what each is worth, what each costs, and the edit that takes them out."""
