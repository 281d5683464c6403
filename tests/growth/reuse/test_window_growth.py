"""Growth by windows: screening, matches and rounds against loops over places."""

from dataclasses import replace

import numpy as np
import pytest
from plain_growth import plain_gain_and_step
from plain_windows import (
    K,
    branch_outputs,
    patches,
    pixels,
    places_by_hand,
    pooled_output,
    windowed_bank,
    windowed_candidates,
)

from skgrow.growth.reuse.clustering import find_clusters
from skgrow.growth.reuse.gains import MIN_SUPPORT
from skgrow.growth.reuse.input_maps import transfer
from skgrow.growth.reuse.matching import RANKINGS, propose_matches
from skgrow.growth.reuse.screening import (
    candidate_outputs,
    screen_matched,
    screen_plain,
    threshold_values,
)
from skgrow.inputs.windows import ONE_PLACE
from skgrow.networks.forward import features_major
from skgrow.training.losses import CROSS_ENTROPY

N_ROWS = 60


def make_rows(seed=4):
    X = pixels(N_ROWS, seed)
    rng = np.random.RandomState(seed)
    y = np.digitize(X[:, :9].mean(axis=1) + 0.1 * rng.normal(size=N_ROWS), [-0.1, 0.1])
    logits = 0.3 * rng.normal(size=(N_ROWS, K))
    return X, y, CROSS_ENTROPY.residual(logits, y, np.ones(N_ROWS))


def best_class(outputs, now):
    """Gain, threshold and class, the threshold being the mean output.

    And whether rounding decides which class it is: a branch that is silent on all rows
    but one has equal means on the other classes.
    """
    threshold = outputs.mean()
    value = np.maximum(outputs - threshold, 0)
    if value.max() < 1e-12:  # a branch that is constant
        return 0.0, threshold, 0, False
    support = (now.membership.sum(axis=1) @ value) ** 2 / max(value @ value, 1e-12)
    means = now.membership.T @ value / now.membership.sum(axis=0)
    t, ordered = int(means.argmax()), np.sort(means)
    enough = support >= min(MIN_SUPPORT, 0.1 * len(outputs))
    gain = plain_gain_and_step(value, now, t)[0] if enough else 0.0
    return gain, threshold, t, ordered[-1] - ordered[-2] < 1e-9 * ordered[-1]


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_screening_finds_what_a_search_place_by_place_finds(pooling):
    bank, (X, _, now) = windowed_bank(pooling), make_rows()
    kind, regions = patches(pooling), np.array([2, 5])
    columns = kind.growth_columns[regions]
    found = screen_plain(
        bank, features_major(X), now, regions, columns, n_keep=1000, window=kind.places
    )
    expected = {}
    for region, where in zip(regions, columns, strict=True):
        for b in range(bank.n_branches):
            alone = bank.take([b] * 1)
            alone.regions[:] = where
            outputs = np.array([branch_outputs(alone, 0, x, pooling) for x in X])
            for c in range(K):
                gain, *rest = best_class(outputs[:, c], now)
                if gain > 0:
                    expected[region, b, c] = gain, *rest
    keys = zip(found.region, found.branch, found.branch_class, strict=True)
    values = np.array([expected.pop(tuple(key)) for key in keys])
    assert not expected
    assert len(values) > 20
    _compare(found, values)
    assert found.window == kind.places


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_uses_with_maps_are_screened_by_their_pooled_outputs(pooling):
    bank, (X, _, now) = windowed_bank(pooling), make_rows()
    uses, features = windowed_candidates(80, bank, pooling), features_major(X)
    outputs = np.array(
        [[pooled_output(bank, uses, m, x, pooling) for x in X] for m in range(80)]
    )
    np.testing.assert_allclose(candidate_outputs(bank, uses, features), outputs)
    above = np.maximum(outputs - uses.threshold[:, None], 0)
    np.testing.assert_allclose(threshold_values(bank, uses, features), above, atol=1e-12)
    found = screen_matched(bank, features, now, uses)
    expected = np.array([best_class(row, now) for row in outputs])
    expected = expected[expected[:, 0] > 0]
    assert len(expected) > 20
    _compare(found, expected)


def _compare(found, expected):
    """Candidates with gains, thresholds and classes; most are no ties."""
    gain, threshold, target, tied = expected.T
    np.testing.assert_allclose(found.threshold, threshold, rtol=1e-8)
    clear = tied == 0
    assert clear.mean() > 0.8
    np.testing.assert_allclose(found.gain[clear], gain[clear], rtol=1e-7)
    np.testing.assert_array_equal(found.target[clear], target[clear])


@pytest.mark.parametrize("ranking", RANKINGS)
def test_matches_map_the_rows_of_all_places_alike(ranking):
    bank, (X, y, now) = windowed_bank(sizes=(5,)), make_rows()
    clusters, kind = find_clusters(bank, n_points=100), patches("mean")
    found = propose_matches(
        bank, clusters, features_major(X), y, now, np.array([3]),
        kind.growth_columns[[3]], n_proposals=40, ranking=ranking, window=kind.places,
    )  # fmt: skip
    assert len(found) == 40
    assert found.window == kind.places
    assert not found.has_bound.any()
    first = kind.growth_columns[3]
    for m in range(0, 40, 7):
        own = [p for x in X[y == found.target[m]] for p in places_by_hand(first, x)]
        mean, spread = np.mean(own, axis=0), np.ptp(own, axis=0)
        at = found.branch[m], found.branch_class[m]
        dim, scale, shift = transfer(
            clusters.mean[at], clusters.spread[at], clusters.order[at],
            mean, spread, np.argsort(mean),
        )  # fmt: skip
        np.testing.assert_array_equal(found.columns[m], first[dim])
        np.testing.assert_allclose(found.scale[m], scale)
        np.testing.assert_allclose(found.shift[m], shift)
    if ranking == "gain":
        outputs = np.array(
            [[pooled_output(bank, found, m, x, "mean") for x in X] for m in (0, 9)]
        )
        best = [best_class(row, now)[0] for row in outputs]
        np.testing.assert_allclose(found.gain[[0, 9]], best, rtol=1e-8)


def test_clusters_do_not_see_the_window_of_the_base():
    bank = windowed_bank(sizes=(5,))
    one = find_clusters(bank, n_points=60)
    other = find_clusters(replace(bank, window=ONE_PLACE), n_points=60)
    np.testing.assert_array_equal(one.centre, other.centre)
