"""Warnings and errors of skgrow, so that they can be caught by name."""

__all__ = [
    "GrowthStoppedWarning",
    "ModelFileError",
    "ModelVersionWarning",
    "UnseenCategoryWarning",
]


class GrowthStoppedWarning(UserWarning):
    """Growth ended before it had added all the branches that were asked for.

    The message says why. What had been grown until then is kept.
    """


class ModelFileError(ValueError):
    """A file is not a model that this version of skgrow can read.

    It is truncated, altered, something else, or written by a later version.
    """


class ModelVersionWarning(UserWarning):
    """A pickle was written by another version of skgrow, and may not work with this one.

    `skgrow.save` and `skgrow.load` keep models from one version to the next.
    """


class UnseenCategoryWarning(UserWarning):
    """A column holds values that were not seen in `fit`; they are treated as missing."""
