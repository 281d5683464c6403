"""Warnings and errors of skgrow, so that they can be caught by name."""

__all__ = ["GrowthStoppedWarning", "ModelFileError"]


class GrowthStoppedWarning(UserWarning):
    """Growth ended before it had added all the branches that were asked for.

    The message says why. What had been grown until then is kept.
    """


class ModelFileError(ValueError):
    """A file is not a model that this version of skgrow can read.

    It is truncated, altered, something else, or written by a later version.
    """
