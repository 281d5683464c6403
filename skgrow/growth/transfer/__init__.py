"""Branches of one task on another: candidates that vote."""
