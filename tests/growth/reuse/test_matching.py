"""Matching: formula (15), the transfer (C.1)-(C.7), and what is proposed."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgrow.growth.reuse import matching
from skgrow.growth.reuse.clustering import find_clusters
from skgrow.growth.reuse.input_maps import transfer
from skgrow.growth.reuse.matching import (
    RANKINGS,
    partial_average_distance,
    propose_matches,
)
from skgrow.inputs.windows import ONE_PLACE
from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import FoldedBranches
from skgrow.networks.forward import features_major
from skgrow.training.losses import CROSS_ENTROPY

N_CLASSES = 3
N_BRANCHES = 3
ALL = N_BRANCHES * N_CLASSES**2  # branches, their classes, reference classes
REGIONS = {5: [0, 1, 2, 3], 8: [5, 4, 3, 2]}  # number and columns
CLUSTERS = {}  # clustering takes a while: once for each bank


def make_bank(region_size=4, dtype=np.float64):
    regions = np.tile(np.arange(region_size), (N_BRANCHES, 1))
    state = np.random.RandomState(0)
    return BranchBank.random(regions, (6, 6), N_CLASSES, state, dtype)


def make_rows(n_rows=60, n_features=6, seed=0, dtype=np.float64):
    rng = np.random.RandomState(seed)
    features = rng.uniform(-0.5, 0.5, size=(n_features, n_rows)).astype(dtype)
    y = np.arange(n_rows) % N_CLASSES
    return features, y, rng.normal(size=(n_rows, N_CLASSES)).astype(dtype)


def get_clusters(bank):
    key = tuple(weight.tobytes() for weight in bank.weights)
    if key not in CLUSTERS:
        CLUSTERS[key] = find_clusters(bank, n_points=100)
    return CLUSTERS[key]


def with_unit(features):
    return features_major(features.T)


def propose(bank, features, y, logits, **options):
    left = CROSS_ENTROPY.residual(logits, y, np.ones(len(y)))
    columns = np.array(list(REGIONS.values()))[:, : bank.regions.shape[1]]
    return propose_matches(
        bank,
        get_clusters(bank),
        with_unit(features),
        y,
        left,
        np.array([5, 8]),
        columns,
        **options,
    )


def slow_partial_average(distance, y, reference, n_classes):
    """(15), one match, as a plain walk along the sorted rows."""
    order = sorted(range(len(y)), key=lambda j: distance[j])
    total_own = sum(c == reference for c in y)
    best = None
    for step in range(1, 21):
        n = math.ceil(len(y) * step / 20)
        means = {}
        for c in range(n_classes):
            own = [distance[j] for j in order[:n] if y[j] == c]
            if own:
                means[c] = sum(own) / len(own)
        n_own = sum(y[j] == reference for j in order[:n])
        closest = reference in means and means[reference] == min(means.values())
        if (closest and n_own >= 0.3 * total_own) or (step == 20 and best is None):
            best = means.get(reference, math.inf), set(order[:n])
    return best


@pytest.mark.parametrize("n_rows", [7, 12, 60, 101])
def test_partial_average_distance_is_formula_15(n_rows):
    rng = np.random.RandomState(n_rows)
    y = rng.randint(4, size=n_rows)
    distance = rng.uniform(0.1, 1, size=(40, n_rows)) * (1 + 0.3 * (y % 3))
    reference = np.arange(40) % 4
    mean, inside = partial_average_distance(distance, y, reference, 4)
    sizes = set()
    for i in range(40):
        expected, rows = slow_partial_average(distance[i], y, reference[i], 4)
        assert_allclose(mean[i], expected)
        assert set(np.flatnonzero(inside[i])) == rows
        sizes.add(len(rows))
    assert len(sizes) > 1  # not only the fallback


def test_partial_average_distance_without_the_class():
    distance = np.array([[1.0, 2.0, 3.0]])
    y = np.zeros(3, dtype=np.int64)
    mean, inside = partial_average_distance(distance, y, np.array([1]), 2)
    assert np.isinf(mean[0])
    assert inside.all()


def test_transfer_matches_dimensions_by_rank():
    mean_b, spread_b = np.array([0.3, -0.2, 0.1]), np.array([1.0, 0.5, 0.8])
    mean_r, spread_r = np.array([-0.1, 0.4, 0.2]), np.array([0.5, 1.0, 0.25])
    source, scale, shift = transfer(
        mean_b, spread_b, np.argsort(mean_b), mean_r, spread_r, np.argsort(mean_r)
    )
    assert_array_equal(source, [1, 0, 2])  # highest to highest, and so on
    x_r = np.array([0.2, -0.3, 0.4])
    x_b = scale * x_r[source] + shift
    normalised_b = ((x_b - mean_b) / spread_b)[np.argsort(mean_b)]
    normalised_r = ((x_r - mean_r) / spread_r)[np.argsort(mean_r)]
    assert_allclose(normalised_b, normalised_r)  # (C.2)


@pytest.mark.parametrize("side", ["region", "branch"])
def test_transfer_ignores_constant_columns(side):
    mean, order = np.array([0.1, 0.2]), np.array([0, 1])
    flat, wide = np.array([0.0, 0.5]), np.array([0.5, 0.5])
    spread_b, spread_r = (wide, flat) if side == "region" else (flat, wide)
    _, scale, shift = transfer(mean, spread_b, order, mean - 0.3, spread_r, order)
    assert_array_equal(scale, [0, 1])
    assert shift[0] == mean[0]


def test_folded_branches_read_the_transferred_inputs():
    """(C.7): f'(x_r) == f(x_b), with x_b of (C.5) computed by hand."""
    bank, (features, y, logits) = make_bank(), make_rows()
    clusters = get_clusters(bank)
    found = propose(bank, features, y, logits, n_proposals=ALL)
    outputs = FoldedBranches(bank, found).outputs(with_unit(features)).numpy()
    assert len(found) == 2 * ALL
    for i in range(len(found)):
        x = features[REGIONS[found.region[i]]].T  # (rows, region_size)
        own = x[y == found.target[i]]
        order_r = np.argsort(own.mean(axis=0))
        z = ((x - own.mean(axis=0)) / np.ptp(own, axis=0))[:, order_r]
        at = found.branch[i], found.branch_class[i]
        x_b = np.empty_like(x)
        x_b[:, clusters.order[at]] = z
        x_b = x_b * clusters.spread[at] + clusters.mean[at]
        expected = bank.terms(x_b)[:, at[0], at[1]]
        inside = np.isfinite(outputs[i])
        assert inside.any()
        assert_allclose(outputs[i][inside], expected[inside], atol=1e-12)


def test_input_bound_is_the_box_of_the_prefix():
    bank, (features, y, logits) = make_bank(), make_rows()
    clusters = get_clusters(bank)
    found = propose(bank, features, y, logits, n_proposals=5, ranking="distance")
    assert len(found) == 2 * 5
    for i in range(len(found)):
        x = features[found.columns[i]].T
        at = found.branch[i], found.branch_class[i]
        own = (clusters.branch == at[0]) & (clusters.branch_class == at[1])
        # Distances of (C.1) are those of x_b, a dimension at a time over the range.
        x_b = found.scale[i] * x + found.shift[i]
        apart = (x_b[:, None] - clusters.centre[own]) / clusters.spread[at]
        weight = np.exp(clusters.peak[own]) / np.exp(clusters.peak[own]).sum()
        distance = (np.linalg.norm(apart, axis=2) / weight).min(axis=1)
        mean, rows = slow_partial_average(distance, y, found.target[i], N_CLASSES)
        assert_allclose(found.gain[i], -mean)
        assert_allclose(found.lower[i], x[list(rows)].min(axis=0))
        assert_allclose(found.upper[i], x[list(rows)].max(axis=0))


def test_capture_sums_the_row_weights_near_the_best_centre():
    bank, (features, y, logits) = make_bank(), make_rows()
    clusters = get_clusters(bank)
    found = propose(
        bank,
        features,
        y,
        logits,
        n_proposals=5,
        ranking="capture",
        capture_fraction=0.1,
    )
    gradient = CROSS_ENTROPY.residual(logits, y, np.ones(len(y))).gradient
    assert len(found) == 2 * 5
    for i in range(len(found)):
        at = found.branch[i], found.branch_class[i]
        x_b = found.scale[i] * features[found.columns[i]].T + found.shift[i]
        own = (clusters.branch == at[0]) & (clusters.branch_class == at[1])
        apart = (x_b[:, None] - clusters.centre[own]) / clusters.spread[at]
        nearest = np.argsort(np.linalg.norm(apart, axis=2), axis=0)[:6]
        captured = gradient[nearest, found.target[i]].sum(axis=0)
        assert_allclose(found.gain[i], captured.max())


def test_gain_ranks_the_branch_that_follows_the_residual_first():
    """No values correlate better with a gradient than those it was made of."""
    bank, (features, y, logits) = make_bank(), make_rows(n_rows=100)
    every = propose(bank, features, y, logits, n_proposals=ALL)
    wanted = every.take([30])
    no_bound = np.full_like(wanted.lower, np.inf)
    wanted = replace(wanted, lower=-no_bound, upper=no_bound)
    output = FoldedBranches(bank, wanted).outputs(with_unit(features)).numpy()[0]
    value = np.maximum(output - output.mean(), 0)
    asked = np.zeros((100, N_CLASSES))
    asked[:, np.argmax([value[y == k].mean() for k in range(N_CLASSES)])] = (
        value - value.mean()
    )  # by condition (3) it can be used for no other class
    left = replace(CROSS_ENTROPY.residual(logits, y, np.ones(100)), gradient=asked)
    left = replace(left, curvature=np.ones((100, N_CLASSES)))
    where = np.array([REGIONS[wanted.region[0]]])
    seen = (with_unit(features), y, left)
    args = (bank, get_clusters(bank), *seen, wanted.region, where)
    best = propose_matches(*args, n_proposals=1)
    for name in ("branch", "branch_class", "target", "columns"):
        assert_array_equal(getattr(best, name), getattr(wanted, name))
    assert_allclose(best.gain, value.var() / 2)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_proposals_are_the_best_of_each_region(ranking):
    bank, rows = make_bank(), make_rows()
    few = propose(bank, *rows, n_proposals=4, ranking=ranking)
    every = propose(bank, *rows, n_proposals=ALL, ranking=ranking)
    assert_array_equal(few.region, [5] * 4 + [8] * 4)
    for region in (5, 8):
        best = few.take(few.region == region)
        full = every.take(every.region == region)
        assert np.all(np.diff(full.gain) <= 0)
        for name, array in vars(best).items():
            if name != "window":
                assert_array_equal(array, getattr(full, name)[:4])


@pytest.mark.slow  # processes have to be started
@pytest.mark.parametrize("ranking", RANKINGS)
def test_result_does_not_depend_on_n_jobs(ranking):
    bank, rows = make_bank(), make_rows()
    one, two = (
        propose(bank, *rows, n_proposals=6, ranking=ranking, n_jobs=n) for n in (1, 2)
    )
    for a, b in zip(vars(one).values(), vars(two).values(), strict=True):
        assert_array_equal(a, b)


def test_constant_columns_get_weight_zero():
    bank, (features, y, logits) = make_bank(), make_rows()
    features[1] = 0.25
    found = propose(bank, features, y, logits, n_proposals=ALL)
    constant = found.columns == 1
    assert constant.any()
    assert_array_equal(found.scale[constant], 0)
    assert np.all(found.scale[~constant] > 0)
    assert np.abs(found.scale).max() < 100


@pytest.mark.parametrize("ranking", RANKINGS)
@pytest.mark.parametrize("region_size", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_rows_and_small_regions(ranking, region_size, dtype):
    """Twelve rows, a class with one row and a class with none."""
    bank = make_bank(region_size, dtype)
    features, _, logits = make_rows(n_rows=12, dtype=dtype)
    y = np.array([0] * 11 + [2])
    found = propose(bank, features, y, logits, n_proposals=8, ranking=ranking)
    assert_array_equal(found.target, 0)  # one row has no range: no reference
    assert len(found) == 16
    floats = (found.scale, found.shift, found.lower, found.upper, found.gain)
    assert {array.dtype for array in floats} == {np.dtype(dtype)}
    assert all(np.isfinite(array).all() for array in floats)


def test_no_class_with_two_rows_proposes_nothing():
    features, _, logits = make_rows(n_rows=3)
    found = propose(make_bank(), features, np.arange(3), logits)
    assert len(found) == 0
    assert found.columns.shape == (0, 4)


@pytest.mark.parametrize("ranking", RANKINGS)
def test_constant_branches_do_not_crash(ranking):
    bank = make_bank()
    zeros = tuple(np.zeros_like(weight) for weight in bank.weights)
    bank = BranchBank(bank.regions, zeros, bank.biases)
    found = propose(bank, *make_rows(), n_proposals=3, ranking=ranking)
    assert len(found) == 6
    assert np.isfinite(found.gain).all()


def test_huge_peaks_do_not_overflow():
    bank = make_bank()
    weights = (*bank.weights[:-1], 1e5 * bank.weights[-1])
    bank = BranchBank(bank.regions, weights, bank.biases)
    found = propose(bank, *make_rows(), n_proposals=3, ranking="distance")
    assert np.isfinite(found.gain).all()


def test_no_regions():
    bank, (features, y, logits) = make_bank(), make_rows()
    left = CROSS_ENTROPY.residual(logits, y, np.ones(len(y)))
    none = np.zeros(0, dtype=np.int64)
    clusters = get_clusters(bank)
    columns = np.zeros((0, 4), dtype=np.int64)
    seen = (with_unit(features), y, left)
    assert len(propose_matches(bank, clusters, *seen, none, columns)) == 0


def test_unknown_ranking():
    with pytest.raises(ValueError, match="'gain', 'capture', 'distance'"):
        propose(make_bank(), *make_rows(), ranking="luck")


def test_nearest_centre_is_divided_by_its_weight():
    bank, (features, y, logits) = make_bank(), make_rows()
    source = matching._Source.prepare(bank, get_clusters(bank), 0.2)
    rows = matching._Rows(
        with_unit(features), y, CROSS_ENTROPY.residual(logits, y, np.ones(len(y))),
        np.arange(4), np.arange(4), ONE_PLACE,
    )  # fmt: skip
    view = matching._view(source, rows, 5, 1)
    assert len(np.unique(source.owner)) < len(source.owner)
    for owner in np.unique(source.owner):
        own = source.owner == owner
        assert_allclose(source.weight[own].sum(), 1)
        apart = view.normalised - source.centres[own][:, None]
        expected = np.linalg.norm(apart, axis=2) / source.weight[own][:, None]
        found = matching._nearest_centre(source, view, np.array([owner]))
        assert_allclose(found[0], expected.min(axis=0))
