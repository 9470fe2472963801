"""A whole run as data: the schema of a recipe, the run, and the recipes that ship."""
