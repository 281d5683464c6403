"""Clusters: their centres are the highest members, and nothing depends on chance."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skgrow.growth.reuse import clustering
from skgrow.growth.reuse.clustering import find_clusters
from skgrow.networks.bank import BranchBank


def make_bank(region_size=3, n_branches=2, n_classes=3, dtype=np.float64):
    regions = np.tile(np.arange(region_size), (n_branches, 1))
    state = np.random.RandomState(0)
    return BranchBank.random(regions, (6, 6), n_classes, state, dtype)


def constant_bank():
    bank = make_bank()
    zeros = tuple(np.zeros_like(weight) for weight in bank.weights)
    return BranchBank(bank.regions, zeros, bank.biases)


def arrays(clusters):
    return vars(clusters).values()


@pytest.fixture
def groups(monkeypatch):
    """The kept points and their labels, in the order they were clustered."""
    seen, mean_shift = [], clustering._mean_shift

    def spy(scaled, *args):
        labels = mean_shift(scaled, *args)
        seen.append((scaled, labels))
        return labels

    monkeypatch.setattr(clustering, "_mean_shift", spy)
    return seen


def test_peak_is_the_output_at_the_centre():
    bank = make_bank()
    clusters = find_clusters(bank, n_points=300)
    outputs = bank.terms(clusters.centre)
    each = np.arange(len(clusters))
    expected = outputs[each, clusters.branch, clusters.branch_class]
    assert_allclose(clusters.peak, expected)
    assert np.abs(clusters.centre).max() <= 0.5


def test_centre_is_the_highest_member_of_its_cluster(groups):
    bank = make_bank()
    clusters = find_clusters(bank, n_points=300)
    assert len(clusters) > len(groups)  # some branch class has several clusters
    found = []
    for (scaled, labels), owner in zip(groups, np.ndindex(2, 3), strict=True):
        points = scaled * clusters.spread[owner] + clusters.mean[owner]
        output = bank.terms(points)[:, owner[0], owner[1]]
        members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        found += [points[m[output[m].argmax()]] for m in members]
    assert_allclose(clusters.centre, found)


def test_the_top_fraction_is_kept(groups):
    find_clusters(make_bank(), n_points=100, top_fraction=0.1)
    assert {len(scaled) for scaled, _ in groups} == {10}


def test_statistics_describe_the_highest_points():
    bank = make_bank()
    points = np.random.RandomState(5).uniform(-0.5, 0.5, size=(300, 3))
    clusters = find_clusters(bank, n_points=300, top_fraction=0.2, seed=5)
    outputs = bank.terms(points)
    for b, c in np.ndindex(2, 3):
        kept = points[np.argsort(-outputs[:, b, c])[:60]]
        assert_allclose(clusters.mean[b, c], kept.mean(axis=0))
        assert_allclose(clusters.spread[b, c], kept.max(axis=0) - kept.min(axis=0))
        assert np.all(np.diff(clusters.mean[b, c, clusters.order[b, c]]) >= 0)


def test_every_branch_class_has_a_cluster_in_ascending_order():
    clusters = find_clusters(make_bank(), n_points=60)
    owner = clusters.branch * 3 + clusters.branch_class
    assert_array_equal(np.unique(owner), np.arange(6))
    assert np.all(np.diff(owner) >= 0)


@pytest.mark.slow
def test_result_does_not_depend_on_n_jobs():
    one, two = (find_clusters(make_bank(), n_points=60, n_jobs=n) for n in (1, 2))
    for a, b in zip(arrays(one), arrays(two), strict=True):
        assert_array_equal(a, b)


def test_seed_decides_the_result():
    same = [find_clusters(make_bank(), n_points=60, seed=7) for _ in range(2)]
    other = find_clusters(make_bank(), n_points=60, seed=8)
    assert_array_equal(same[0].centre, same[1].centre)
    assert not np.array_equal(same[0].mean, other.mean)


@pytest.mark.parametrize("normalise", ["range", "std"])
@pytest.mark.parametrize("region_size", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_regions(normalise, region_size, dtype):
    bank = make_bank(region_size, dtype=dtype)
    clusters = find_clusters(bank, n_points=60, normalise=normalise)
    assert clusters.centre.shape == (len(clusters), region_size)
    floats = (clusters.centre, clusters.peak, clusters.mean, clusters.spread)
    assert {array.dtype for array in floats} == {np.dtype(dtype)}


def test_constant_outputs_still_make_clusters():
    clusters = find_clusters(constant_bank(), n_points=60)
    assert_array_equal(clusters.peak, 0)
    assert np.isfinite(clusters.centre).all()


def test_a_single_kept_point_has_no_range():
    clusters = find_clusters(make_bank(), n_points=4, top_fraction=0.2)
    assert len(clusters) == 6
    assert_array_equal(clusters.spread, 0)
    assert_array_equal(clusters.centre, clusters.mean.reshape(6, 3))


def test_points_that_no_seed_reaches_become_one_cluster(monkeypatch):
    class Failing(clustering.MeanShift):
        def fit(self, X):
            raise ValueError("No point was within bandwidth=1 of any seed.")

    monkeypatch.setattr(clustering, "MeanShift", Failing)
    assert len(find_clusters(make_bank(), n_points=60)) == 6


def test_other_errors_are_not_swallowed(monkeypatch):
    class Failing(clustering.MeanShift):
        def fit(self, X):
            raise ValueError("something else")

    monkeypatch.setattr(clustering, "MeanShift", Failing)
    with pytest.raises(ValueError, match="something else"):
        find_clusters(make_bank(), n_points=60)


def test_unknown_normalise():
    with pytest.raises(ValueError, match="'range' or 'std'"):
        find_clusters(make_bank(), normalise="max")
