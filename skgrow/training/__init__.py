"""Fits: gradients of branches and dense networks, convex fits of curves and surfaces."""
