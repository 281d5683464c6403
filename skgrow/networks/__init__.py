"""What predicts: frozen arrays and their forward passes, nothing else."""
