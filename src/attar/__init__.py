"""Attar makes big models small."""
