"""RegionDisplay: where on the image a network has grown."""

from __future__ import annotations

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support
from sklearn.utils.validation import check_is_fitted

from skgrow.inputs.image_patches import ImagePatches

__all__ = ["RegionDisplay", "new_axes"]


class RegionDisplay:
    """Map of an image: how many grown branches see each pixel.

    Parameters
    ----------
    counts : ndarray of shape (height, width)
        Branches that see the pixel, in any channel.
    target : str, default=""
        Target class of the branches; all classes if empty.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgrow import GrowingNAMClassifier, ImagePatches
    >>> from skgrow.plotting import RegionDisplay
    >>> X, y = load_digits(return_X_y=True)
    >>> patches = ImagePatches((1, 8, 8), patch_size=3, stride=5)
    >>> nam = GrowingNAMClassifier(patches, max_iter=20, random_state=0).fit(X, y)
    >>> display = RegionDisplay.from_estimator(nam.grow(X, y, n_branches=10))
    >>> int(display.counts.sum())    # 10 branches of 9 pixels
    90
    """

    def __init__(self, counts, target=""):
        self.counts = counts
        self.target = target

    @classmethod
    def from_estimator(cls, estimator, *, target=None, ax=None):
        """Draw where a fitted network of an image has grown.

        Parameters
        ----------
        estimator : GrowingNAMClassifier or ElectionTransferClassifier
            With `ImagePatches` as regions.
        target : label, default=None
            Count only branches of this class.
        ax : matplotlib Axes, default=None

        Returns
        -------
        display : RegionDisplay

        Raises
        ------
        ValueError
            If the regions are no patches of an image, or there is no such class.
        """
        check_is_fitted(estimator)
        patches = estimator.regions
        if not isinstance(patches, ImagePatches):
            raise ValueError(
                f"RegionDisplay draws networks of ImagePatches; regions={patches!r}."
            )
        uses = estimator._state.network.grown.uses
        columns = uses.seen
        if target is not None:
            classes = estimator.classes_.tolist()
            if target not in classes:
                raise ValueError(f"target={target!r} is not one of {classes}.")
            columns = columns[uses.target == classes.index(target)]
        size = int(np.prod(patches.image_shape))
        # Places of a window share pixels, which a branch sees once.
        each = [columns[:0].ravel(), *map(np.unique, columns)]
        counts = np.bincount(np.concatenate(each), minlength=size)
        counts = counts.reshape(patches.image_shape).sum(axis=0)
        return cls(counts, "" if target is None else str(target)).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the map.

        Parameters
        ----------
        ax : matplotlib Axes, default=None

        Returns
        -------
        display : RegionDisplay
        """
        self.ax_ = ax = new_axes(ax, "RegionDisplay")
        self.figure_ = ax.figure
        drawn = ax.imshow(self.counts, cmap="viridis", vmin=0)
        ax.set_xlabel("column (pixels)")
        ax.set_ylabel("row (pixels)")
        if self.target:
            ax.set_title(f"branches for class {self.target}")
        ax.figure.colorbar(drawn, ax=ax, label="grown branches that see the pixel")
        return self


def new_axes(ax, name):
    """`ax`, or new axes where it is None; `name` is of the caller, for messages."""
    check_matplotlib_support(name)
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(layout="constrained")
    return ax
