"""Scales and biases of masks: the loss, its gradient, and its optimum."""

import numpy as np
import torch
from plain_growth import (
    K,
    finite_difference,
    loss_of,
    random_rows,
)
from scipy.optimize import minimize

from skgrow.growth.reuse.mask_fitting import PRIOR, Masks, fit_masks, mask_loss
from skgrow.training.losses import CROSS_ENTROPY


def tuning_problem(m=7, n=150, seed=0):
    rng = np.random.RandomState(seed)
    _, y, logits, weight = random_rows(n)
    target = rng.randint(K, size=m)
    values = np.maximum((y == target[:, None]) * 0.8 + rng.normal(size=(m, n)) - 0.2, 0)
    values[0] = np.maximum((y != target[0]) + rng.normal(size=n), 0)  # best left out
    values /= values.max(axis=1, keepdims=True)
    return values, target, 0.3 * logits, y, weight


def plain_loss(flat, values, target, offset, y, weight):
    """Formula (16) row by row, branch by branch."""
    m = len(target)
    a, b, c = flat[:m], flat[m : 2 * m], flat[2 * m :]
    logits = offset + c
    for j in range(len(y)):
        for i in range(m):
            if values[i, j] > 0:
                logits[j, target[i]] += a[i] * values[i, j] + b[i]
    return loss_of(logits, y, weight / weight.sum())


def test_mask_loss_and_its_gradient():
    values, target, offset, y, weight = tuning_problem()
    target = np.sort(target)
    flat = np.random.RandomState(1).uniform(0, 1, size=2 * 7 + K)
    given = torch.tensor(offset)
    loss, gradient = mask_loss(
        Masks.from_flat(flat, 7), torch.tensor(values), target, given,
        torch.tensor(y), torch.tensor(weight / weight.sum()),
    )  # fmt: skip

    def plain(x):
        return plain_loss(x, values, target, offset, y, weight)

    assert np.isclose(loss, plain(flat), rtol=1e-12)
    np.testing.assert_allclose(gradient, finite_difference(plain, flat), atol=1e-9)
    np.testing.assert_array_equal(given.numpy(), offset)
    np.testing.assert_array_equal(Masks.from_flat(flat, 7).flat(), flat)


def test_fit_masks_reaches_the_optimum():
    values, target, offset, y, weight = tuning_problem()
    masks = fit_masks(
        values, target, offset, y, weight, start=Masks.zeros(7, K), max_iter=1000
    )
    data = (values, target, offset, y, weight)
    bounds = [(0, None)] * 14 + [(None, None)] * K

    def plain_mask_loss(x, *data):
        prior = np.sum(x[:14] ** 2) / (2 * PRIOR**2 * len(y))
        return plain_loss(x, *data) + prior

    other = minimize(
        plain_mask_loss, np.full(14 + K, 0.5), args=data, bounds=bounds,
        method="SLSQP", options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    assert other.success
    assert np.isclose(plain_mask_loss(masks.flat(), *data), other.fun, atol=1e-6)
    assert (masks.scale >= 0).all()
    assert (masks.bias >= 0).all()
    zero = masks.scale[0] == masks.bias[0] == 0
    assert zero  # the branch that is active where its class is not
    # The optimum is flat along intercepts that rise together: compare what is added.
    np.testing.assert_allclose(masks.scale, other.x[:7], atol=0.02)
    np.testing.assert_allclose(masks.bias, other.x[7:14], atol=0.02)
    centred = [c - c.mean() for c in (masks.intercept, other.x[14:])]
    np.testing.assert_allclose(*centred, atol=0.02)


def test_fit_masks_does_not_mind_the_order_of_branches():
    values, target, offset, y, weight = tuning_problem()
    start = Masks(np.linspace(0, 1, 7), np.linspace(1, 0, 7), np.arange(3.0))
    order = np.random.RandomState(3).permutation(7)
    shuffled = Masks(start.scale[order], start.bias[order], start.intercept)
    for max_iter in (1, 200):
        one = fit_masks(values, target, offset, y, weight, start=start, max_iter=max_iter)
        two = fit_masks(
            values[order], target[order], offset, y, weight,
            start=shuffled, max_iter=max_iter,
        )  # fmt: skip
        np.testing.assert_allclose(two.scale, one.scale[order], atol=1e-4)
        np.testing.assert_allclose(two.bias, one.bias[order], atol=1e-4)
        np.testing.assert_allclose(two.intercept, one.intercept, atol=1e-4)


def test_fit_masks_of_no_branch_fits_the_intercept():
    values, target, offset, y, weight = tuning_problem()
    masks = fit_masks(
        values[:0], target[:0], offset, y, weight, start=Masks.zeros(0, K), max_iter=200
    )
    now = CROSS_ENTROPY.residual(offset + masks.intercept, y, weight / weight.sum())
    np.testing.assert_allclose(now.gradient.sum(axis=0), 0, atol=1e-4)
