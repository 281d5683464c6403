"""Targets of regressors, in standard deviations from their mean."""

from __future__ import annotations

import numpy as np

from skgrow.inputs.checks import check_weights

# In deviations: float32 must hold its square, and Adam its fourth power.
FAR_TARGET = 1e12

__all__ = ["scaled_target", "target_scale"]


def target_scale(y, sample_weight, known=None):
    """Weighted mean and standard deviation of a target, which is 0 if it is constant.

    What is `known` of earlier rows stays, but for a deviation of 0: that of these rows
    from the known mean takes its place.
    """
    if known is not None and known[1]:
        return known
    weight = check_weights(sample_weight, None, y, y)
    y, weight = y[weight > 0].astype(np.float64), weight[weight > 0]
    about = 0.0 if known is None else known[0]
    largest = max(np.abs(y).max(), abs(about), np.finfo(float).tiny)
    shrunk = y / largest  # the square of a huge number would overflow
    mean = np.average(shrunk, weights=weight) if known is None else about / largest
    spread = np.sqrt(np.average((shrunk - mean) ** 2, weights=weight))
    mean = float(mean * largest) if known is None else about
    return mean, float(spread * largest)


def scaled_target(y, target, dtype):
    """A target in deviations from its mean, or ValueError if `dtype` cannot hold it."""
    mean, spread = target
    y = y.astype(np.float64)
    with np.errstate(over="ignore"):
        scaled = (y - mean) / (spread or 1.0)
    largest = np.finfo(dtype).max / 1e6  # a prediction may go beyond what was seen
    far = (np.abs(y) > largest) | (np.abs(scaled) > FAR_TARGET)
    far |= 0 < (spread or abs(mean)) < float(np.finfo(dtype).tiny)
    if far.any():
        raise ValueError(
            f"y holds {y[far][0]:.3g}, which {dtype} cannot compute with where the "
            f"target has mean {mean:.3g} and deviation {spread:.3g}; scale it first."
        )
    return scaled.astype(dtype)
