"""Candidates: the table, and the input map folded into the first layer."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import (
    Candidates,
    FoldedBranches,
    count_trunks,
    new_trunks,
    outputs_of,
    trunk_chunks,
)
from skgrow.networks.forward import features_major

N_BRANCHES, SIZE, N_CLASSES, N_FEATURES, N_CANDIDATES = 4, 3, 5, 7, 20


def random_bank(sizes=(6, 5), dtype=np.float64):
    random_state = np.random.RandomState(0)
    regions = np.arange(N_BRANCHES)[:, None] + np.arange(SIZE)
    return BranchBank.random(regions, sizes, N_CLASSES, random_state, dtype)


def plain_candidates(dtype=np.float64):
    rng = np.random.RandomState(1)
    order = rng.uniform(size=(N_CANDIDATES, N_FEATURES)).argsort(axis=1)
    return Candidates.plain(
        region=np.arange(N_CANDIDATES),
        columns=order[:, :SIZE],
        branch=rng.randint(N_BRANCHES, size=N_CANDIDATES),
        branch_class=rng.randint(N_CLASSES, size=N_CANDIDATES),
        dtype=dtype,
    )


def mapped_candidates():
    """Every candidate with a map of its own, reflections among them; no bounds."""
    rng = np.random.RandomState(2)
    candidates = plain_candidates()
    candidates.scale[:] = rng.uniform(-3, 3, size=candidates.scale.shape)
    candidates.shift[:] = rng.normal(size=candidates.shift.shape)
    return candidates


def random_rows(n_rows=30, dtype=np.float64):
    rng = np.random.RandomState(3)
    return rng.uniform(-0.5, 0.5, size=(n_rows, N_FEATURES)).astype(dtype)


def outputs(bank, candidates, X):
    return FoldedBranches(bank, candidates).outputs(features_major(X)).numpy()


def map_then_branch(bank, candidates, X):
    """Formula (C.5), then the branch as it was trained, one candidate at a time."""
    result = []
    for m, b in enumerate(candidates.branch):
        hidden = X[:, candidates.columns[m]] * candidates.scale[m] + candidates.shift[m]
        for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
            hidden = np.maximum(hidden @ weight[b] + bias[b], 0)
        result.append(hidden @ bank.weights[-1][b][:, candidates.branch_class[m]])
    return np.stack(result)


@pytest.mark.parametrize("sizes", [(6,), (6, 5), (9, 9, 9, 9)])
def test_folded_layer_equals_map_then_branch(sizes):
    bank, X = random_bank(sizes), random_rows()
    for candidates in (plain_candidates(), mapped_candidates()):
        expected = map_then_branch(bank, candidates, X)
        assert expected.std() > 0.01
        folded = outputs(bank, candidates, X)
        np.testing.assert_allclose(folded, expected, rtol=0, atol=1e-13)


def test_plain_candidate_on_its_own_region_is_the_branch():
    bank, X = random_bank(), random_rows()
    every = np.arange(N_BRANCHES)
    candidates = Candidates.plain(every, bank.regions, every, every, np.float64)
    terms = bank.terms(X)[:, every, every].T
    np.testing.assert_allclose(outputs(bank, candidates, X), terms, atol=1e-14)


def test_outside_the_input_bound_is_minus_infinity():
    bank, X, candidates = random_bank(), random_rows(200), mapped_candidates()
    free = outputs(bank, candidates, X)
    candidates.lower[:] = -0.4
    candidates.upper[:, 1] = 0.3
    inputs = X[:, candidates.columns]  # (rows, m, region_size)
    inside = ((inputs >= candidates.lower) & (inputs <= candidates.upper)).all(axis=2).T
    assert 0.1 < inside.mean() < 0.9
    bounded = outputs(bank, candidates, X)
    np.testing.assert_array_equal(bounded, np.where(inside, free, -np.inf))


def test_the_input_bound_itself_is_inside():
    bank, X, candidates = random_bank(), random_rows(1), plain_candidates()
    candidates.lower[:] = candidates.upper[:] = X[0, candidates.columns]
    assert np.isfinite(outputs(bank, candidates, X)).all()


def test_folding_changes_neither_bank_nor_candidates():
    bank, candidates = random_bank(), mapped_candidates()
    arrays = (*bank.weights, *bank.biases, candidates.scale, candidates.shift)
    kept = [array.copy() for array in arrays]
    outputs(bank, candidates, random_rows())
    for array, copy in zip(arrays, kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_float32_stays_float32():
    bank, X = random_bank(dtype=np.float32), random_rows(dtype=np.float32)
    candidates = plain_candidates(np.float32)
    result = outputs(bank, candidates, X)
    assert result.dtype == np.float32
    expected = map_then_branch(bank, candidates, X)
    np.testing.assert_allclose(result, expected, atol=1e-6)


def arrays_of(candidates):
    return {name: part for name, part in vars(candidates).items() if name != "window"}


def test_read_only_arrays_are_fine():
    # joblib hands large arrays to its workers as read-only memory maps.
    bank, X, candidates = random_bank(), random_rows(), mapped_candidates()
    expected = outputs(bank, candidates, X)
    arrays = arrays_of(candidates).values()
    for array in (*bank.weights, *bank.biases, *arrays):
        array.setflags(write=False)
    np.testing.assert_array_equal(outputs(bank, candidates, X), expected)


def test_thread_count_does_not_matter():
    bank, X, candidates = random_bank(), random_rows(3000), mapped_candidates()
    n_threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            results.append(outputs(bank, candidates, X))
    finally:
        torch.set_num_threads(n_threads)
    np.testing.assert_allclose(*results, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    "index", [np.array([3, 0, 3]), np.arange(N_CANDIDATES) % 2 == 0, slice(2, 5)]
)
def test_take_takes_from_every_array(index):
    candidates = mapped_candidates()
    taken = candidates.take(index)
    assert len(taken) == len(candidates.region[index])
    for name, array in arrays_of(candidates).items():
        np.testing.assert_array_equal(getattr(taken, name), array[index])


def test_concatenate_joins_every_array():
    candidates = mapped_candidates()
    parts = [candidates.take(slice(0, 4)), candidates.take(slice(4, 4))]
    parts.append(candidates.take(slice(4, None)))
    joined = Candidates.concatenate(parts)
    for name, array in arrays_of(candidates).items():
        np.testing.assert_array_equal(getattr(joined, name), array)


def test_empty_joins_and_keeps_the_dtypes():
    empty = Candidates.empty(SIZE, np.float64)
    assert len(empty) == 0
    joined = Candidates.concatenate([empty, plain_candidates()])
    assert len(joined) == N_CANDIDATES
    for name, array in arrays_of(plain_candidates()).items():
        assert getattr(joined, name).dtype == array.dtype
    assert outputs(random_bank(), empty, random_rows(5)).shape == (0, 5)


def test_has_bound_says_which_candidates_have_one():
    candidates = plain_candidates()
    assert not candidates.has_bound.any()
    candidates.upper[-1, -1] = 0.5
    assert candidates.has_bound.any()
    assert not candidates.take(slice(0, -1)).has_bound.any()


def test_arrays_of_plain_candidates_share_no_memory():
    candidates = plain_candidates()
    candidates.threshold[0] = candidates.scale[0, 0] = candidates.lower[0, 0] = 3.0
    assert candidates.gain[0] == candidates.shift[0, 0] == 0
    assert candidates.upper[0, 0] == np.inf


def sharing_candidates():
    """Four trunks, one of them with a map and a bound, used 40 times in all."""
    rng = np.random.RandomState(4)
    trunks = mapped_candidates().take([3, 8, 8, 11])
    trunks.scale[2] += 1  # the same branch and columns through another map
    trunks.lower[3], trunks.upper[3] = -0.4, 0.4
    candidates = trunks.take(rng.randint(4, size=40))
    candidates.branch_class[:] = rng.randint(N_CLASSES, size=40)
    candidates.target[:] = rng.randint(N_CLASSES, size=40)
    return candidates


def test_candidates_that_share_a_trunk_have_outputs_of_their_own():
    bank, candidates, X = random_bank(), sharing_candidates(), random_rows(300)
    folded = FoldedBranches(bank, candidates)
    assert len(folded.stack.readout) == 4
    inside = (np.abs(X[:, candidates.columns]) <= 0.4).all(axis=2).T
    inactive = np.isfinite(candidates.upper[:, 0])[:, None] & ~inside
    expected = np.where(inactive, -np.inf, map_then_branch(bank, candidates, X))
    assert 0 < inactive.sum() < inactive.size / 2
    np.testing.assert_allclose(outputs(bank, candidates, X), expected, atol=1e-12)


@pytest.mark.parametrize("bounded", [False, True])
def test_trunks_of_one_region_read_it_once(bounded):
    """One region has 17 readers, 16 have two, one has three: too few to be shared."""
    bank, X = random_bank(), random_rows(300)
    places = list(permutations(range(X.shape[1]), bank.regions.shape[1]))[:18]
    region = np.repeat(np.arange(18), [17, 3, *[2] * 16])
    branch = np.arange(len(region)) % bank.n_branches
    shared = Candidates.plain(
        region, np.array(places)[region], branch, branch % N_CLASSES, bank.dtype
    )
    # More than there are branches read one region: maps make them trunks of their own.
    shared = replace(shared, shift=shared.shift + 0.01 * np.arange(len(region))[:, None])
    shared = shared.take(np.random.RandomState(0).permutation(len(region)))
    if bounded:
        shared.lower[::3] = -0.4
    assert FoldedBranches(bank, shared).stack.readers == [(3, 1), (16, 2), (1, 17)]
    expected = map_then_branch(bank, shared, X)
    inside = (X[:, shared.columns] >= shared.lower).all(axis=2).T
    expected = np.where(inside, expected, -np.inf)
    np.testing.assert_allclose(outputs(bank, shared, X), expected, atol=1e-12)


def test_trunk_chunks_cover_all_and_keep_those_that_share_together(monkeypatch):
    monkeypatch.setattr("skgrow.networks.forward.BRANCHES_PER_CHUNK", 3)
    candidates = Candidates.concatenate([plain_candidates(), sharing_candidates()])
    chunks = trunk_chunks(candidates)
    assert sorted(np.concatenate(chunks)) == list(range(len(candidates)))
    counts = [count_trunks(candidates.take(own))[0] for own in chunks]
    assert max(counts) == 3
    assert sum(counts) == count_trunks(candidates)[0]  # none is in two chunks
    assert trunk_chunks(candidates.take([])) == []


def test_trunks_and_outputs_are_counted_once():
    candidates = sharing_candidates()
    uses = {
        (*map(tuple, (candidates.columns[m], candidates.scale[m])), candidates.branch[m],
         candidates.branch_class[m])
        for m in range(40)
    }  # fmt: skip
    assert count_trunks(candidates) == (4, len(uses))
    assert len(uses) < 40
    assert count_trunks(candidates.take([])) == (0, 0)


def test_outputs_of_trunks_are_all_of_them_once():
    every = outputs_of(sharing_candidates(), N_CLASSES)
    assert count_trunks(every) == (4, 4 * N_CLASSES)
    assert len(every) == 4 * N_CLASSES
    assert len(outputs_of(sharing_candidates().take([]), N_CLASSES)) == 0


def test_new_trunks_are_those_that_are_not_present():
    plain = plain_candidates()
    present = outputs_of(plain.take([2, 5]), N_CLASSES)
    asked = Candidates.concatenate([plain, plain])
    trunk = new_trunks(asked, present)
    assert np.flatnonzero(trunk < 0).tolist() == [2, 5, 22, 25]
    np.testing.assert_array_equal(trunk[:N_CANDIDATES], trunk[N_CANDIDATES:])
    assert len(np.unique(trunk)) == N_CANDIDATES - 1
    assert (new_trunks(plain, present.take([])) >= 0).all()
