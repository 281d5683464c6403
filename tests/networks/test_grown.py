"""Grown branches by formula (16), and networks that hold them."""

import numpy as np
from plain_growth import (
    Halves,
    K,
    candidate_output,
    random_bank,
    random_candidates,
    random_rows,
)

from skgrow.networks.forward import features_major
from skgrow.networks.grown import GrownBranches, Network


def random_grown(n=300, seed=4):
    rng = np.random.RandomState(seed)
    numbers = rng.uniform(0.1, 2, size=(6, n))
    numbers[1, ::5] = 0  # scales
    numbers[2, ::7] = 0  # biases
    return GrownBranches(random_bank(), random_candidates(n), *numbers)


def plain_grown_logits(grown, rows):
    """Formula (16), row by row, branch by branch."""
    uses = grown.uses
    total = np.zeros((K, len(rows)))
    for j, row in enumerate(rows):
        for m in range(len(grown)):
            output = candidate_output(grown.bank, uses, m, row)
            v = max(output - uses.threshold[m], 0) / grown.span[m]
            is_active = 1 if output > uses.threshold[m] else 0
            total[uses.target[m], j] += grown.scale[m] * v + grown.bias[m] * is_active
    return total


def test_grown_logits_are_formula_16():
    grown, (X, *_) = random_grown(), random_rows(40)
    features = features_major(X)
    expected = plain_grown_logits(grown, X)
    assert expected.std() > 1
    np.testing.assert_allclose(
        grown.runner().logits(features).numpy(), expected, atol=1e-10
    )
    added = grown.runner().contributions(features).numpy()
    one = plain_grown_logits(grown.take([17]), X)[grown.uses.target[17]]
    np.testing.assert_allclose(added[17], one, atol=1e-12)
    empty = GrownBranches.empty(grown.bank)
    assert len(empty) == empty.n_multiply_adds == 0
    nothing = empty.runner().logits(features).numpy()
    np.testing.assert_array_equal(nothing, np.zeros((K, 40)))


def test_grown_branches_in_many_chunks_of_rows():
    grown, (X, *_) = random_grown(3), random_rows(1100)
    features = features_major(X)
    expected = plain_grown_logits(grown, X)
    np.testing.assert_allclose(
        grown.runner().logits(features).numpy(), expected, atol=1e-12
    )


def test_network_logits_are_bank_plus_grown_plus_intercept():
    grown, (X, *_) = random_grown(20), random_rows(2100)  # three chunks of rows
    bank, intercept = random_bank(seed=9), np.array([1.0, -2.0, 0.5])
    logits = Network(bank, grown, intercept).logits(X, Halves())
    some = [0, 1000, 2047, 2048, 2099]
    base = bank.terms(X / 2).sum(axis=1) + intercept
    expected = plain_grown_logits(grown, X[some] / 2).T + base[some]
    np.testing.assert_allclose(logits[some], expected, atol=1e-12)
    bare = Network(bank, GrownBranches.empty(bank), intercept).logits(X, Halves())
    np.testing.assert_allclose(bare, base, atol=1e-12)


def test_take_and_extended_are_inverse():
    grown, (X, *_) = random_grown(30), random_rows(20)
    features = features_major(X)
    head, tail = grown.take(slice(0, 12)), grown.take(np.arange(12, 30))
    assert (len(head), len(tail)) == (12, 18)
    whole = head.extended(tail)
    assert whole.bank is grown.bank
    names = np.arange(K)
    assert whole.records(names, None) == grown.records(names, None)
    total = head.runner().logits(features) + tail.runner().logits(features)
    np.testing.assert_allclose(total, grown.runner().logits(features), atol=1e-12)
    alive = (grown.scale > 0) & (grown.bias > 0)
    assert len(grown.take(alive)) == alive.sum() < 30
    empty = GrownBranches.empty(grown.bank)
    same = empty.extended(grown).extended(empty)
    assert same.records(names, None) == grown.records(names, None)


def test_records_have_the_users_names():
    grown = random_grown(10)
    classes = np.array(["ant", "bee", "cat"])
    features = np.array(["a", "b", "c", "d", "e"], dtype=object)
    uses = grown.uses
    for m, record in enumerate(grown.records(classes, features)):
        assert record == {
            "region": [features[j] for j in uses.columns[m]],
            "branch": uses.branch[m],
            "branch_class": classes[uses.branch_class[m]],
            "target_class": classes[uses.target[m]],
            "threshold": uses.threshold[m],
            "span": grown.span[m],
            "scale": grown.scale[m],
            "bias": grown.bias[m],
            "precision": grown.precision[m],
            "recall": grown.recall[m],
            "bound": grown.bound[m],
        }
        assert type(record["branch"]) is int
        assert type(record["scale"]) is float
        assert type(record["target_class"]) is str
    bare = grown.records(np.array([3, 5, 9]), None)
    assert bare[4]["region"] == uses.columns[4].tolist()
    assert bare[4]["target_class"] == [3, 5, 9][uses.target[4]]
    assert GrownBranches.empty(grown.bank).records(classes, features) == []
