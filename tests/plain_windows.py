"""Windows on a small image, and what loops over rows and places make of them."""

import numpy as np
from plain_growth import candidate_output

from skgrow.inputs.image_patches import ImagePatches
from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import Candidates

CHANNELS, HEIGHT, WIDTH = 2, 7, 9
SHAPE = (CHANNELS, HEIGHT, WIDTH)
K = 3
POOLING = {"mean": np.mean, "max": np.max}


def patches(pooling="mean", window=3, stride=2, window_stride=None):
    return ImagePatches(
        SHAPE, 2, stride, window=window, pooling=pooling, window_stride=window_stride
    )


def windowed_bank(pooling="mean", sizes=(4, 3), dtype=np.float64, **how):
    kind = patches(pooling, **how)
    return BranchBank.random(
        kind.base_columns, sizes, K, np.random.RandomState(0), dtype, kind.places
    )


def pixels(n_rows, seed=1, dtype=np.float64):
    rows = np.random.RandomState(seed).uniform(-1, 1, (n_rows, CHANNELS * HEIGHT * WIDTH))
    return rows.astype(dtype)


def windowed_candidates(n, bank, pooling="mean", bounded=False, seed=2, **how):
    kind = patches(pooling, **how)
    rng = np.random.RandomState(seed)
    region = rng.randint(len(kind.growth_columns), size=n)
    found = Candidates.plain(
        region, kind.growth_columns[region], rng.randint(bank.n_branches, size=n),
        rng.randint(K, size=n), bank.dtype, kind.places,
    )  # fmt: skip
    found.scale[::3] = rng.uniform(-2, 2, size=found.scale[::3].shape)
    found.shift[::3] = rng.normal(size=found.shift[::3].shape)
    found.target[:] = rng.randint(K, size=n)
    found.threshold[:] = rng.normal(scale=0.05, size=n)
    if bounded:
        found.lower[::2] = -0.95
        found.upper[::2] = 0.95
    return found


def places_by_hand(columns, row, window=3, stride=2):
    """What a patch with the given first place reads of a row, place by place."""
    image, found = row.reshape(SHAPE), []
    at = [np.unravel_index(j, SHAPE) for j in columns]
    for down in range(0, window, stride):
        for right in range(0, window, stride):
            seen = [image[c, i + down, j + right] for c, i, j in at]
            found.append(np.array(seen))
    return found


def branch_outputs(bank, b, row, pooling, **how):
    """Outputs `(K,)` of one base branch for one row."""
    each = []
    for hidden in places_by_hand(bank.regions[b], row, **how):
        for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
            hidden = np.maximum(hidden @ weight[b] + bias[b], 0)
        each.append(hidden @ bank.weights[-1][b])
    return POOLING[pooling](each, axis=0)


def pooled_output(bank, uses, m, row, pooling, **how):
    """Output of one candidate for one row, the map and bound the same at all places."""
    each = []
    for inputs in places_by_hand(uses.columns[m], row, **how):
        alone = np.zeros(len(row))
        alone[uses.columns[m]] = inputs
        each.append(candidate_output(bank, uses, m, alone))
    return POOLING[pooling](each)
