"""What a fitted additive network has learned: terms, shape functions, pictures."""
