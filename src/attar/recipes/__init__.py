"""A whole run as data: the schema of a recipe, the runner with its stages, and the recipes that ship."""
