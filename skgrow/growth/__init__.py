"""Searches that make networks larger; what predicts knows nothing of them."""
