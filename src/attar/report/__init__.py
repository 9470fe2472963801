"""Panels to one HTML page: what a run has to show, drawn without knowing what it is about."""
