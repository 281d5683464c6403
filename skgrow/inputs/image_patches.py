"""Patches and windows of images: which pixels a branch sees."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral

import numpy as np

from skgrow.inputs.windows import ONE_PLACE, POOLINGS, Window

__all__ = ["ImagePatches"]

PATCH_STRIDE, PLACE_STRIDE = 6, 2  # by default


@dataclass(frozen=True)
class ImagePatches:
    """Square patches of one channel each, for images flattened to rows.

    Parameters
    ----------
    image_shape : tuple of int
        `(channels, height, width)` in pixels; a row of `X` holds
        `channels * height * width` columns in that (channel-major) order.
    patch_size : int, default=3
        Side of a patch in pixels; a branch sees `patch_size ** 2` columns.
    stride : int, default=None
        Step in pixels between the patches of the base network, by default 6. Growth
        looks at every patch, at stride 1. With a window, the step between the places
        that are read inside it, by default 2: it sets the cost of a prediction.
    window : int, default=None
        Side of a square window of places, in pixel positions of the patch's corner: a
        branch reads a patch at each of its places, and its outputs are pooled. None
        for patches of one place each. Base and growth have the same windows then.
    pooling : {"mean", "max"}, default=None
        What is made of the outputs at the places of a window, before threshold and
        mask; None for the mean.
    window_stride : int, default=None
        Step in pixels between windows; None for the side of the window. Only whole
        windows are taken.

    Raises
    ------
    ValueError
        If the shape is not three positive integers, a patch or a window does not fit,
        a step is not positive, or pooling is not known or stands without a window.

    Examples
    --------
    >>> from skgrow import ImagePatches
    >>> patches = ImagePatches((3, 32, 32), patch_size=3, stride=6)
    >>> patches.columns(stride=6).shape    # 5 * 5 positions in 3 channels
    (75, 9)
    >>> patches.columns(stride=1).shape
    (2700, 9)
    >>> windows = ImagePatches((3, 32, 32), 3, window=6, stride=2, pooling="mean")
    >>> windows.places.n_places    # every second one of 6 x 6
    9
    >>> windows.columns(stride=6).shape    # 5 * 5 in 3 channels: first places
    (75, 9)
    """

    image_shape: tuple
    patch_size: int = 3
    stride: int | None = None
    window: int | None = None
    pooling: str | None = None
    window_stride: int | None = None

    def __post_init__(self):
        shape = tuple(self.image_shape)
        if len(shape) != 3 or not all(_is_positive_int(side) for side in shape):
            raise ValueError(
                "image_shape must be three positive integers (channels, height, "
                f"width), got {self.image_shape!r}. A grey image is (1, height, width)."
            )
        self._check_positive("patch_size")
        if self.stride is not None:
            self._check_positive("stride")
        if self.patch_size > min(shape[1:]):
            raise ValueError(
                f"patch_size={self.patch_size} does not fit into an image of "
                f"{shape[1]} x {shape[2]} pixels; choose at most {min(shape[1:])}."
            )
        self._check_window(min(shape[1:]) - self.patch_size + 1)

    def _check_positive(self, name):
        value = getattr(self, name)
        if not _is_positive_int(value):
            raise ValueError(f"{name} must be a positive integer, got {value!r}.")

    def _check_window(self, n_positions):
        if self.window is None:
            for name in ("pooling", "window_stride"):
                if getattr(self, name) is not None:
                    raise ValueError(
                        f"{name}={getattr(self, name)!r} needs a window; give "
                        "window=6, say, or leave it out."
                    )
            return
        if self.pooling is not None and self.pooling not in POOLINGS:
            raise ValueError(
                f"pooling={self.pooling!r} is not known; use 'mean' or 'max'."
            )
        self._check_positive("window")
        if self.window_stride is not None:
            self._check_positive("window_stride")
        if self.window > n_positions:
            raise ValueError(
                f"window={self.window} is larger than the {n_positions} positions that "
                f"a patch of {self.patch_size} pixels has along the shorter side of an "
                f"image of {tuple(self.image_shape)}; choose at most {n_positions}."
            )

    @property
    def places(self):
        """The places that are read inside each window, a `Window`."""
        if self.window is None:
            return ONE_PLACE
        steps = np.arange(0, self.window, self.stride or PLACE_STRIDE)
        offsets = steps[:, None] * int(self.image_shape[2]) + steps
        return Window(offsets.reshape(-1).astype(np.int64), self.pooling or "mean")

    @property
    def base_columns(self):
        """Columns of the base branches, `(n_branches, patch_size ** 2)`: first places."""
        if self.window is None:
            return self.columns(self.stride or PATCH_STRIDE)
        return self.columns(self.window_stride or self.window)

    @property
    def growth_columns(self):
        """Columns of the regions that growth may use, as `base_columns`."""
        return self.columns(1) if self.window is None else self.base_columns

    def columns(self, stride):
        """Column indices of every patch, row by row, channels innermost.

        With a window, of the first place of every whole window.

        Parameters
        ----------
        stride : int
            Step between patches or windows, in pixels.

        Returns
        -------
        columns : ndarray of int64 of shape (n_patches, patch_size ** 2)

        Examples
        --------
        >>> from skgrow import ImagePatches
        >>> ImagePatches((1, 3, 3), patch_size=2).columns(stride=1)
        array([[0, 1, 3, 4],
               [1, 2, 4, 5],
               [3, 4, 6, 7],
               [4, 5, 7, 8]])
        """
        channels, height, width = self.image_shape
        side = self.patch_size + (self.window or 1) - 1
        tops = np.arange(0, height - side + 1, stride)
        lefts = np.arange(0, width - side + 1, stride)
        top, left, channel = np.meshgrid(tops, lefts, np.arange(channels), indexing="ij")
        corner = (channel * height + top) * width + left
        row, column = np.divmod(np.arange(self.patch_size**2), self.patch_size)
        return corner.reshape(-1, 1) + row * width + column


def _is_positive_int(value):
    return isinstance(value, Integral) and not isinstance(value, bool) and value > 0
