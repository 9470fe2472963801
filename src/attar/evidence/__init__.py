"""What was measured of a model, how two models compare, and the page that shows it."""
