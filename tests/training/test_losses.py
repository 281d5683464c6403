"""Losses, their gradients, and the one-standard-error rule, against plain loops."""

import math

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import minimize_scalar
from sklearn.metrics import accuracy_score, r2_score

from skgrow.training.losses import (
    CROSS_ENTROPY,
    SQUARED_ERROR,
    SQUARED_OUTPUT_ERROR,
    is_clear_fall,
    mean_and_error,
)

KINDS = {
    "two classes": (CROSS_ENTROPY, 2),
    "three classes": (CROSS_ENTROPY, 3),
    "number": (SQUARED_ERROR, 2),
}


def draw(kind, n_rows=30, size=3.0):
    """A loss, scores, labels of these rows, and weights that sum to 1."""
    loss, n_outputs = KINDS[kind]
    rng = np.random.RandomState(0)
    logits, weight = size * rng.randn(n_rows, n_outputs), rng.uniform(0.5, 2, n_rows)
    is_class = loss is CROSS_ENTROPY
    y = rng.randint(n_outputs, size=n_rows) if is_class else 2 * rng.randn(n_rows)
    return loss, logits, y, weight / weight.sum()


def plain_loss_and_grad(loss, scores, label):
    """Of one row, written out."""
    if loss is SQUARED_ERROR:
        error = label - (scores[1] - scores[0])
        return error**2 / 2, [error, -error]
    highest = max(scores)
    odds = [math.exp(score - highest) for score in scores]
    grad = [o / sum(odds) - (t == label) for t, o in enumerate(odds)]
    return highest + math.log(sum(odds)) - scores[label], grad


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_gradients_are_those_of_plain_loops(kind):
    loss, logits, y, share = draw(kind)
    each = [plain_loss_and_grad(loss, *row) for row in zip(logits, y, strict=True)]
    losses, grads = np.array([e[0] for e in each]), np.array([e[1] for e in each])
    np.testing.assert_allclose(loss.of_rows(logits, y), losses, rtol=1e-9)
    found = loss.of_tensors(torch.tensor(logits), torch.tensor(y)).numpy()
    np.testing.assert_allclose(found, losses, rtol=1e-9)

    value, grad = loss.value_and_grad(logits, y, share)
    assert math.isclose(value, sum(s * e for s, e in zip(share, losses, strict=True)))
    np.testing.assert_allclose(grad, share[:, None] * grads, rtol=1e-9, atol=1e-15)

    by_class = loss.grad_by_class(torch.tensor(logits.T.copy()), torch.tensor(y))
    np.testing.assert_allclose(by_class[0].numpy(), losses, rtol=1e-9)
    np.testing.assert_allclose(by_class[1].numpy().T, grads, rtol=1e-9, atol=1e-15)

    residual = loss.residual(logits, y, share)
    np.testing.assert_allclose(residual.gradient, -grad, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("kind", ["two classes", "three classes"])
def test_confident_scores_neither_overflow_nor_vanish(kind):
    loss, logits, y, share = draw(kind, size=1e4)
    value, grad = loss.value_and_grad(logits, y, share)
    highest = logits.max(axis=1)
    expected = highest - logits[np.arange(len(y)), y]  # all else is below rounding
    assert expected.max() > 1e3
    assert math.isclose(value, share @ expected)
    wrong = logits.argmax(axis=1) != y
    np.testing.assert_allclose(grad[np.arange(len(y)), y], -share * wrong, atol=1e-12)
    np.testing.assert_allclose(loss.of_rows(logits, y), expected)


def test_outputs_of_a_dense_regressor_have_half_their_squared_errors():
    rng = np.random.RandomState(0)
    outputs, y = rng.randn(7, 3), rng.randn(7, 3)
    plain = [sum((o - t) ** 2 for o, t in zip(*r, strict=True)) / 2
             for r in zip(outputs, y, strict=True)]  # fmt: skip
    found = SQUARED_OUTPUT_ERROR.of_tensors(torch.tensor(outputs), torch.tensor(y))
    np.testing.assert_allclose(found.numpy(), plain)
    losses, grad = SQUARED_OUTPUT_ERROR.grad_by_class(
        torch.tensor(outputs.T), torch.tensor(y)
    )
    np.testing.assert_allclose(losses.numpy(), plain)
    np.testing.assert_allclose(grad.numpy(), (outputs - y).T)


@pytest.mark.parametrize("kind", KINDS)
def test_constant_scores_have_the_lowest_loss_of_all(kind):
    loss, logits, y, share = draw(kind)
    best = loss.constant(y, share, logits.shape[1])

    def total(constant):
        return share @ loss.of_rows(np.tile(constant, (len(y), 1)), y)

    for t in range(len(best)):
        unit = np.eye(len(best))[t]
        moved = minimize_scalar(lambda step, unit=unit: total(best + step * unit))
        assert abs(moved.x) < 1e-4
    if loss is CROSS_ENTROPY:
        shares = [share[y == t].sum() for t in range(len(best))]
        np.testing.assert_allclose(np.exp(best), shares)
    else:
        assert math.isclose(best[1] - best[0], share @ y)


def test_a_class_without_rows_has_a_finite_constant():
    constant = CROSS_ENTROPY.constant(np.array([0, 0, 2]), np.ones(3), 3)
    np.testing.assert_allclose(np.exp(constant), [2 / 3, 0, 1 / 3], atol=1e-300)
    assert np.isfinite(constant).all()


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_scikit_learn(kind):
    loss, logits, y, share = draw(kind)
    if loss is CROSS_ENTROPY:
        expected = accuracy_score(y, logits.argmax(axis=1), sample_weight=share)
    else:
        expected = r2_score(y, logits[:, 1] - logits[:, 0], sample_weight=share)
    assert math.isclose(loss.score(logits, y, share), expected)


def test_rows_of_a_regressor_belong_to_the_direction_of_their_error():
    _, logits, y, share = draw("number")
    residual = SQUARED_ERROR.residual(logits, y, share)
    errors = [s * (t - (b - a)) for s, t, (a, b) in zip(share, y, logits, strict=True)]
    size = sum(map(abs, errors)) / len(errors)
    for j, error in enumerate(errors):
        counts = abs(error) / size * share.mean()
        expected = [0, counts] if error > 0 else [counts, 0]
        np.testing.assert_allclose(residual.membership[j], expected)
        assert residual.classes[j] == (error > 0)
        np.testing.assert_array_equal(residual.curvature[j], share[j])


def test_a_residual_is_summed_taken_and_cast_as_a_whole():
    loss, logits, y, share = draw("three classes")
    residual = loss.residual(logits, y, share)
    design = np.random.RandomState(1).rand(len(y), 4)
    for n_values in (3, 1):  # of all classes, or of the last
        grad, hess = residual.sums(sparse.csr_array(design), n_values)
        for point in range(4):
            for k, t in enumerate(range(3 - n_values, 3)):
                plain = [design[j, point] * residual.gradient[j, t] for j in range(30)]
                assert math.isclose(grad[point, k], sum(plain), abs_tol=1e-15)
                plain = [design[j, point] * residual.curvature[j, t] for j in range(30)]
                assert math.isclose(hess[point, k], sum(plain))
    rows = np.array([4, 1, 7])
    some = residual.take(rows).astype(np.float32)
    expected = loss.residual(logits[rows], y[rows], share[rows])
    for name in ("gradient", "curvature", "membership"):
        assert getattr(some, name).dtype == np.float32
        np.testing.assert_allclose(
            getattr(some, name), getattr(expected, name), rtol=1e-6
        )
    np.testing.assert_array_equal(some.classes, y[rows])


def test_mean_and_error_are_those_of_weighted_rows():
    rng = np.random.RandomState(0)
    falls, weight = rng.randn(50), rng.uniform(0, 3, 50)
    falls[0], weight[0] = 1e6, 0  # a row of weight 0 has no part in either
    mean = sum(w * f for w, f in zip(weight, falls, strict=True)) / sum(weight)
    squares = sum((w * (f - mean)) ** 2 for w, f in zip(weight, falls, strict=True))
    expected = mean, math.sqrt(squares) / sum(weight)
    np.testing.assert_allclose(mean_and_error(falls, weight), expected)
    equal = mean_and_error(falls[1:], np.full(49, 0.3))
    error = np.std(falls[1:]) / math.sqrt(49)  # the textbook's, of equal weights
    np.testing.assert_allclose(equal, (falls[1:].mean(), error))


def test_a_fall_is_clear_beyond_its_standard_errors_and_the_tolerance():
    falls, weight = np.array([1.0, 1, 3, 3]), np.ones(4)  # mean 2, error 0.5
    assert is_clear_fall(falls, weight)
    assert is_clear_fall(falls, weight, n_errors=3.99)
    assert not is_clear_fall(falls, weight, n_errors=4)  # it must be more
    assert is_clear_fall(falls, weight, n_errors=0, tol=1.99)
    assert not is_clear_fall(falls, weight, n_errors=0, tol=2)
    assert not is_clear_fall(falls, weight, n_errors=1, tol=2)
    assert is_clear_fall(falls, weight, n_errors=1, tol=1.9)  # of both the larger
    assert not is_clear_fall(-falls, weight)
    assert not is_clear_fall(np.zeros(4), weight)  # no change is no fall
    assert not is_clear_fall(falls - 1.6, weight)  # 0.4, with an error of 0.5
