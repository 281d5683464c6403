"""Warnings of skgrow, so that they can be filtered by name."""

__all__ = ["GrowthStoppedWarning"]


class GrowthStoppedWarning(UserWarning):
    """Growth ended before it had added all the branches that were asked for.

    The message says why. What had been grown until then is kept.
    """
