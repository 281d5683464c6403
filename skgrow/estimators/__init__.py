"""The public classes: parameters, docs and the order of steps."""
