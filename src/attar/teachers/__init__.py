"""Frozen sources of targets."""
