"""Models on disk: a codec that knows no class, what a file may hold, checkpoints."""
