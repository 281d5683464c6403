"""Residuals, and the screening of candidates by their gains, in plain loops."""

import numpy as np
import pytest
import torch
from plain_growth import (
    N_BRANCHES,
    K,
    candidate_output,
    finite_difference,
    loss_of,
    plain_gain_and_step,
    plain_output,
    random_bank,
    random_candidates,
    random_rows,
)

from skgrow.growth.reuse.gains import MIN_SUPPORT, gain_and_step, newton_gain
from skgrow.growth.reuse.screening import (
    candidate_outputs,
    screen_matched,
    screen_plain,
    threshold_values,
)
from skgrow.networks.branch_uses import Candidates
from skgrow.networks.forward import features_major
from skgrow.training.losses import CROSS_ENTROPY


def test_residual_is_the_gradient_and_curvature_of_the_loss():
    _, y, logits, weight = random_rows(12)
    now = CROSS_ENTROPY.residual(logits, y, weight)
    grad = finite_difference(lambda z: loss_of(z, y, weight), logits)
    np.testing.assert_allclose(now.gradient, -grad, atol=1e-8)
    for t in range(K):

        def own_loss(z, t=t):
            return loss_of(
                np.column_stack([logits[:, :t], z, logits[:, t + 1 :]]), y, weight
            )

        z, h = logits[:, t], 1e-3
        for j in range(len(y)):
            e = h * (np.arange(len(y)) == j)
            second = (own_loss(z + e) - 2 * own_loss(z) + own_loss(z - e)) / h**2
            assert np.isclose(now.curvature[j, t], second, atol=1e-6)
    for j, label in enumerate(y):
        expected = [weight[j] if t == label else 0 for t in range(K)]
        np.testing.assert_array_equal(now.membership[j], expected)
    assert len(now) == 12


def test_loss_and_accuracy():
    _, y, logits, weight = random_rows(50)
    loss = np.average(CROSS_ENTROPY.of_rows(logits, y), weights=weight)
    accuracy = CROSS_ENTROPY.score(logits, y, weight)
    assert np.isclose(loss, loss_of(logits, y, weight) / weight.sum())
    hits = [row.argmax() == label for row, label in zip(logits, y, strict=True)]
    assert np.isclose(accuracy, weight @ np.array(hits) / weight.sum())


def test_newton_gain():
    """The fall of `-g a + h a^2 / 2` at its best `a >= 0`."""
    gradient, curvature = np.array([0.3, -0.2, 0.0]), np.array([0.7, 0.5, 0.1])
    steps = np.linspace(0, 2, 200_001)
    best = [max(g * steps - h * steps**2 / 2) for g, h in zip(gradient, curvature)]  # noqa: B905
    np.testing.assert_allclose(newton_gain(gradient, curvature), best, atol=1e-9)


def test_gain_and_step_is_a_joint_newton_step_with_the_intercept():
    _, y, logits, weight = random_rows(40)
    now = CROSS_ENTROPY.residual(logits, y, weight)
    values = np.maximum(np.random.RandomState(0).normal(size=(9, 40)), 0)
    for t in range(K):
        block = torch.tensor(values)
        gain, step = gain_and_step(block, block.square(), now, t)
        expected = [plain_gain_and_step(v, now, t) for v in values]
        np.testing.assert_allclose(gain, [g for g, _ in expected], atol=1e-12)
        np.testing.assert_allclose(step, [s for _, s in expected])
        assert 0 < np.count_nonzero(gain) < 9


def plain_screen(outputs, now):
    """Gain and threshold of one candidate for every class; the threshold is the mean."""
    inside = [o for o in outputs if o > -np.inf]
    threshold = sum(inside) / len(inside) if inside else np.inf
    value = np.array([max(o - threshold, 0) for o in outputs])
    # Support: rows weighed by the values, as in an effective sample size.
    weight = now.membership.sum(axis=1)
    support = (weight @ value) ** 2 / max(value @ value, 1e-12)
    # (3): on no other class is the mean higher.
    means = [
        (now.membership[:, k] @ value) / now.membership[:, k].sum() for k in range(K)
    ]
    found = []
    for t in range(K):
        out = support < min(MIN_SUPPORT, 0.1 * len(outputs)) or means[t] < max(means)
        found.append((0.0 if out else plain_gain_and_step(value, now, t)[0], threshold))
    return found


@pytest.mark.parametrize("signs", [None, np.array([[1, 1], [-1, 1], [-1, -1]])])
def test_screen_plain_finds_what_a_brute_force_search_finds(signs):
    bank = random_bank()
    X, y, logits, _ = random_rows(97)
    weight = np.ones(97)
    now = CROSS_ENTROPY.residual(0.3 * logits, y, weight)
    regions = np.array([7, 8, 30])
    columns = np.array([[3, 0], [1, 4], [0, 2]])
    features = features_major(X)
    found = screen_plain(bank, features, now, regions, columns, signs, n_keep=10_000)
    signs = np.ones((3, 2)) if signs is None else signs
    expected = {}
    for region, where, sign in zip(regions, columns, signs, strict=True):
        for b in range(N_BRANCHES):
            for c in range(K):
                outputs = [plain_output(bank, b, c, sign * row[where]) for row in X]
                for t, (gain, threshold) in enumerate(plain_screen(outputs, now)):
                    if gain > 0:
                        expected[region, b, c, t] = gain, threshold
    keys = list(
        zip(found.region, found.branch, found.branch_class, found.target, strict=True)
    )
    assert len(expected) > 20
    assert set(keys) == set(expected)
    np.testing.assert_allclose(found.gain, [expected[key][0] for key in keys])
    np.testing.assert_allclose(found.threshold, [expected[key][1] for key in keys])
    assert (np.isinf(found.lower) & np.isinf(found.upper)).all()
    assert (found.shift == 0).all()
    for region, where, sign in zip(regions, columns, signs, strict=True):
        own = found.take(found.region == region)
        np.testing.assert_array_equal(own.scale, np.tile(sign, (len(own), 1)))
        np.testing.assert_array_equal(own.columns, np.tile(where, (len(own), 1)))
        assert (np.diff(own.gain) <= 0).all()


def test_screen_plain_keeps_the_best_of_each_region():
    bank, (X, y, logits, weight) = random_bank(), random_rows(90)
    now = CROSS_ENTROPY.residual(0.3 * logits, y, weight)
    regions, columns = np.arange(40), np.tile([[3, 0], [1, 4]], (20, 1))
    features = features_major(X)
    everything = screen_plain(bank, features, now, regions, columns, n_keep=10_000)
    best = screen_plain(bank, features, now, regions, columns, n_keep=3)
    assert (np.bincount(best.region) == 3).all()
    for region in regions:
        gain = np.sort(everything.gain[everything.region == region])[::-1][:3]
        np.testing.assert_array_equal(best.gain[best.region == region], gain)


def test_screen_matched_finds_what_a_brute_force_search_finds():
    """Of the classes, each matched candidate takes the one of highest gain."""
    bank, (X, y, logits, weight) = random_bank(), random_rows(150)
    weight = np.ones(150)
    now = CROSS_ENTROPY.residual(0.3 * logits, y, weight)
    candidates = random_candidates(300)  # more than one chunk
    features = features_major(X)
    found = screen_matched(bank, features, now, candidates)
    expected = {}
    for m in range(300):
        outputs = [candidate_output(bank, candidates, m, row) for row in X]
        gains = plain_screen(outputs, now)
        t = int(np.argmax([gain for gain, _ in gains]))
        if gains[t][0] > 0:
            expected[m] = (*gains[t], t)
    assert 50 < len(expected) < 300
    assert found.region.tolist() == list(expected)
    expected = np.array(list(expected.values()))
    np.testing.assert_allclose(found.gain, expected[:, 0])
    np.testing.assert_allclose(found.threshold, expected[:, 1])
    np.testing.assert_array_equal(found.target, expected[:, 2])
    assert len(screen_matched(bank, features, now, candidates.take([]))) == 0


def test_candidate_outputs_of_plain_uses_are_the_terms_of_the_bank():
    bank, (X, *_) = random_bank(), random_rows(1300)  # three chunks of rows
    branch, branch_class = (i.ravel() for i in np.indices((N_BRANCHES, K)))
    own = Candidates.plain(branch, bank.regions[branch], branch, branch_class, np.float64)
    outputs = candidate_outputs(bank, own, features_major(X))
    terms = bank.terms(X)[:, branch, branch_class].T
    np.testing.assert_allclose(outputs, terms, atol=1e-14)


def test_candidate_outputs_and_values_in_a_plain_loop():
    bank, (X, *_) = random_bank(), random_rows(60)
    candidates = random_candidates(150)
    X = X[[3, 1, 50, 17]]
    outputs = candidate_outputs(bank, candidates, features_major(X))
    values = threshold_values(bank, candidates, features_major(X))
    for m in range(150):
        for j, row in enumerate(X):
            expected = candidate_output(bank, candidates, m, row)
            assert np.isclose(outputs[m, j], expected, rtol=1e-10, atol=1e-12)
            value = max(expected - candidates.threshold[m], 0)
            assert np.isclose(values[m, j], value, rtol=1e-10, atol=1e-12)
    assert np.isinf(outputs).any()
    assert (values > 0).any()
