"""Which input columns each branch sees."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product
from numbers import Integral

import numpy as np

from skgrow.inputs.windows import ONE_PLACE, POOLINGS, Window

__all__ = ["ImagePatches", "Regions", "resolve_regions", "transfer_regions"]

# Growth regions beyond this number are sampled: the list itself must stay small.
MAX_GROWTH_REGIONS = 20_000
# A branch for each of so many pairs takes 10 GiB in training, and days.
MAX_BASE_PAIRS = 50_000
MAX_REVERSED = 3  # columns of a region that are also read reversed: in eight ways


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
    stride : int, default=6
        Step in pixels between the patches of the base network. Growth looks at
        every patch, at stride 1. With a window, the step between the places that are
        read inside it, which sets the price of a prediction.
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
    stride: int = 6
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
        for name in ("patch_size", "stride"):
            if not _is_positive_int(getattr(self, name)):
                raise ValueError(
                    f"{name} must be a positive integer, got {getattr(self, name)!r}."
                )
        if self.patch_size > min(shape[1:]):
            raise ValueError(
                f"patch_size={self.patch_size} does not fit into an image of "
                f"{shape[1]} x {shape[2]} pixels; choose at most {min(shape[1:])}."
            )
        self._check_window(min(shape[1:]) - self.patch_size + 1)

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
        for name in ("window", "window_stride"):
            value = getattr(self, name)
            if value is not None and not _is_positive_int(value):
                raise ValueError(f"{name} must be a positive integer, got {value!r}.")
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
        steps = np.arange(0, self.window, self.stride)
        offsets = steps[:, None] * int(self.image_shape[2]) + steps
        return Window(offsets.reshape(-1).astype(np.int64), self.pooling or "mean")

    @property
    def base_columns(self):
        """Columns of the base branches, `(n_branches, patch_size ** 2)`: first places."""
        if self.window is None:
            return self.columns(self.stride)
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


@dataclass(frozen=True)
class Regions:
    """Resolved regions: what the base branches see and where growth may look.

    Attributes
    ----------
    base : ndarray of int64 of shape (n_branches, region_size)
        Columns of each base branch.
    growth : ndarray of int64 of shape (n_regions, region_size)
        Columns of each region that growth may use.
    shared_scale : bool
        Whether all columns share one affine map (pixels) or are scaled apart.
    base_window, growth_window : Window
        The places that are read from each of them.
    """

    base: np.ndarray
    growth: np.ndarray
    shared_scale: bool
    base_window: Window = ONE_PLACE
    growth_window: Window = ONE_PLACE

    def fits(self, n_columns, region_size):
        """Whether branches that see so many columns may be used on these regions."""
        parts = (self.base, self.base_window), (self.growth, self.growth_window)
        return all(
            part.shape[1] == region_size
            and window.fits()
            and bool((part < n_columns - window.reach).all())
            for part, window in parts
        )

    @property
    def signs(self):
        """What the columns of a growth region are multiplied by, `(n_ways, region_size)`.

        A column of a table may as well be counted downwards: a shape that was learned on
        some columns is tried on others in both directions of each. Pixels are not turned
        into their negatives.

        Examples
        --------
        >>> import numpy as np
        >>> from skgrow.inputs.regions import Regions
        >>> pairs = np.array([[0, 1], [1, 2]])
        >>> Regions(pairs, pairs, shared_scale=False).signs.tolist()
        [[1, 1], [1, -1], [-1, 1], [-1, -1]]
        """
        region_size = self.growth.shape[1]
        turns = not self.shared_scale and region_size <= MAX_REVERSED
        return np.array(list(product((1, -1) if turns else (1,), repeat=region_size)))


def resolve_regions(regions, grow_regions, n_features, random_state):
    """Turn the user's `regions` and `grow_regions` into column indices.

    Parameters
    ----------
    regions : {"auto", "features", "pairs"}, ImagePatches or list of index lists
        What the base branches see.
    grow_regions : same as `regions`, or None
        Where growth may look; None means all regions of the same kind.
    n_features : int
        Number of columns of `X`.
    random_state : numpy.random.RandomState
        Draws the sample when there are more than 20,000 growth regions.

    Returns
    -------
    resolved : Regions

    Raises
    ------
    ValueError
        If a region names a column that `X` lacks, regions differ in length, an image
        shape does not multiply to the number of columns, or there are too many pairs.
    """
    _check_n_pairs(regions, n_features)
    base = _base_columns(regions, n_features)
    if grow_regions is None:
        growth = _growth_columns(regions, n_features, random_state)
    elif _is_word(grow_regions, "pairs") and _n_pairs(n_features) > MAX_GROWTH_REGIONS:
        growth = _ordered_pairs(n_features, random_state)  # a sample of them
    else:
        growth = _base_columns(grow_regions, n_features)
    if growth.shape[1] != base.shape[1]:
        raise ValueError(
            f"grow_regions have {growth.shape[1]} columns each but the base regions "
            f"have {base.shape[1]}; a branch can only be used again on regions of its "
            "own size."
        )
    grown_by = regions if grow_regions is None else grow_regions
    return Regions(
        base,
        growth,
        isinstance(regions, ImagePatches),
        _window_of(regions),
        _window_of(grown_by),
    )


def transfer_regions(regions, region_size, n_features, random_state):
    """Column indices on which branches of another task are tried.

    Parameters
    ----------
    regions : {"auto", "features", "pairs"}, ImagePatches or list of index lists
    region_size : int
        Columns that the branches see.
    n_features : int
        Number of columns of `X`.
    random_state : numpy.random.RandomState
        Draws the sample when there are more than 20,000 pairs.

    Returns
    -------
    resolved : Regions
        `base` has no region: nothing is trained.

    Raises
    ------
    ValueError
        If the regions are not of the size that the branches see, and as
        `resolve_regions`.
    """
    if isinstance(regions, str) and regions == "auto":
        growth = _columns_of_size(region_size, n_features, random_state)
    else:
        growth = _growth_columns(regions, n_features, random_state)
        if growth.shape[1] != region_size:
            raise ValueError(
                f"regions have {growth.shape[1]} columns each, but the branches of the "
                f"source see {region_size}; give regions of {region_size} columns."
            )
    return Regions(
        growth[:0],
        growth,
        isinstance(regions, ImagePatches),
        growth_window=_window_of(regions),
    )


def _columns_of_size(region_size, n_features, random_state):
    each = np.arange(n_features)
    if region_size == 1:
        return each[:, None]
    if region_size == 2:
        twice = np.column_stack([each, each])
        if n_features == 1:
            return twice
        return np.concatenate([twice, _ordered_pairs(n_features, random_state)])
    raise ValueError(
        f"regions='auto' serves branches of one or two columns, but those of the source "
        f"see {region_size}; pass ImagePatches or lists of {region_size} columns."
    )


def _is_positive_int(value):
    return isinstance(value, Integral) and not isinstance(value, bool) and value > 0


def _is_word(regions, word):
    return isinstance(regions, str) and regions == word


def _window_of(regions):
    return regions.places if isinstance(regions, ImagePatches) else ONE_PLACE


def _n_pairs(n_features):
    return n_features * (n_features - 1) // 2


def _check_n_pairs(regions, n_features):
    n_pairs = _n_pairs(n_features)
    if _is_word(regions, "pairs") and n_pairs > MAX_BASE_PAIRS:
        raise ValueError(
            f'regions="pairs" would train a branch for each of the {n_pairs:,} pairs of '
            f"{n_features:,} columns, and takes {MAX_BASE_PAIRS:,} at most; use "
            'regions="auto", which trains the strongest pairs, or give a list of '
            "pairs."
        )


def _base_columns(regions, n_features):
    if isinstance(regions, ImagePatches):
        _check_image(regions, n_features)
        return regions.base_columns
    if isinstance(regions, str):
        return _named_columns(regions, n_features)
    return _index_columns(regions, n_features)


def _named_columns(name, n_features):
    each = np.arange(n_features)
    if name == "features" or (name == "auto" and n_features == 1):
        return each[:, None]
    if name == "auto":
        # A single column is the pair of a column with itself: one bank serves both.
        single = np.column_stack([each, each])
        ring = np.column_stack([each, np.roll(each, -1)])
        return np.concatenate([single, ring if n_features > 2 else ring[:1]])
    if name == "pairs":
        if n_features < 2:
            raise ValueError(
                f'regions="pairs" needs at least 2 columns, X has {n_features}; '
                'use regions="features".'
            )
        return np.column_stack(np.triu_indices(n_features, k=1))
    raise ValueError(
        f"regions={name!r} is not known; use 'auto', 'features', 'pairs', an "
        "ImagePatches or a list of equal-length index lists."
    )


def _growth_columns(regions, n_features, random_state):
    if isinstance(regions, ImagePatches):
        _check_image(regions, n_features)
        return regions.growth_columns
    pairs = isinstance(regions, str) and regions in ("auto", "pairs")
    if pairs and n_features > 1:
        return _ordered_pairs(n_features, random_state)
    return _base_columns(regions, n_features)


def _ordered_pairs(n_features, random_state):
    n_pairs = n_features * (n_features - 1)
    if n_pairs <= MAX_GROWTH_REGIONS:
        return np.array(list(permutations(range(n_features), 2)))
    drawn = np.sort(random_state.randint(n_pairs, size=MAX_GROWTH_REGIONS))
    first, second = np.divmod(np.unique(drawn), n_features - 1)
    return np.column_stack([first, second + (second >= first)])


def _check_image(patches, n_features):
    n_pixels = int(np.prod(patches.image_shape))
    if n_pixels != n_features:
        shape = " * ".join(str(side) for side in patches.image_shape)
        raise ValueError(
            f"image_shape={tuple(patches.image_shape)} needs {shape} = {n_pixels} "
            f"columns, but X has {n_features}."
        )


def _index_columns(regions, n_features):
    try:
        lists = [np.asarray(region) for region in regions]
    except TypeError as error:
        raise ValueError(
            f"regions={regions!r} is neither a known word, an ImagePatches nor a list "
            "of index lists."
        ) from error
    if not lists:
        raise ValueError("regions is an empty list; give at least one region.")
    sizes = sorted({region.size for region in lists})
    if len(sizes) > 1 or sizes[0] == 0 or any(region.ndim != 1 for region in lists):
        raise ValueError(
            "regions must be index lists of one equal, positive length, got lengths "
            f"{sizes}."
        )
    columns = np.stack(lists)
    if columns.dtype.kind not in "iu":
        raise ValueError(
            f"regions must hold whole column numbers, got dtype {columns.dtype}."
        )
    outside = columns[(columns < 0) | (columns >= n_features)]
    if outside.size:
        raise ValueError(
            f"regions name column {outside[0]}, but X has {n_features} columns "
            f"(0 to {n_features - 1})."
        )
    return columns.astype(np.int64)
