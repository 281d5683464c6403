"""What users pass in, as numbers: frames, checks, scaling, category order, regions."""
