"""Which input columns each branch sees."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from skgrow.inputs.image_patches import ImagePatches
from skgrow.inputs.windows import ONE_PLACE, Window

__all__ = ["Regions", "resolve_regions", "transfer_regions"]

# Growth regions beyond this number are sampled: the list itself must stay small.
MAX_GROWTH_REGIONS = 20_000
# A branch for each of so many pairs takes 10 GiB in training, and days.
MAX_BASE_PAIRS = 50_000
MAX_REVERSED = 3  # columns of a region that are also read reversed: in eight ways


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
