"""What a recipe may say: each table is one class, and the families of choices are literal dicts."""
