"""Growth by trained branches that are used again, one file a step of the paper."""
