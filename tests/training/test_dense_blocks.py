"""Blocks of a dense network in training; `test_dense_gradient.py` has networks."""

import numpy as np
import pytest
import torch

from skgrow.training.dense_blocks import (
    TrainableLayer,
    TrainableParallel,
    TrainableSeries,
)
from skgrow.training.tensors import Workspace

N_ROWS = 6
WORKSPACE = Workspace(torch.zeros(1, dtype=torch.float64))


def drawn(*shape, seed):
    return torch.tensor(np.random.RandomState(seed).normal(size=shape))


def views(seed, **shapes):
    """Numbers by name, and memory for their gradients."""
    values = {
        name: drawn(*shape, seed=seed + k)
        for k, (name, shape) in enumerate(shapes.items())
    }
    return values, {name: torch.zeros_like(value) for name, value in values.items()}


def layer(number, n_out, n_in, depth=1):
    parts = views(10 * number, weight=(n_out, n_in), bias=(n_out, 1))
    below = ("below", depth, 0)
    return parts, TrainableLayer(*parts, WORKSPACE, number, below)


def relu(parts, x):
    return torch.relu(parts[0]["weight"] @ x + parts[0]["bias"])


@pytest.mark.parametrize("merge", ["add", "concat"])
def test_a_parallel_block_has_the_gradients_of_its_formula(merge):
    first, one = layer(0, 3, 2)
    second, two = layer(1, 3, 2)
    own = views(50, scale=(2, 1)) if merge == "add" else ({}, {})
    series = [TrainableSeries([block]) for block in (one, two)]
    block = TrainableParallel(series, *own, WORKSPACE, 2, ("below", 0, 0))
    x = drawn(2, N_ROWS, seed=3).requires_grad_()
    numbers = [t for parts in (first, second, own) for t in parts[0].values()]
    for tensor in numbers:
        tensor.requires_grad_()
    h = [relu(parts, x) for parts in (first, second)]
    wanted = torch.cat(h)
    if merge == "add":
        scale = own[0]["scale"]
        wanted = scale[0] * h[0] + scale[1] * h[1]
    above = drawn(*wanted.shape, seed=4)
    expected = torch.autograd.grad((wanted * above).sum(), [x, *numbers])
    with torch.no_grad():
        outputs = block.forward(x.detach())
        np.testing.assert_allclose(outputs, wanted.detach(), rtol=0, atol=1e-12)
        below = block.backward(above.clone(), wants_below=True)
    gradients = [t for parts in (first, second, own) for t in parts[1].values()]
    for found, right in zip([below, *gradients], expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=1e-12)


def test_the_gradient_of_the_inputs_is_not_made_where_nobody_needs_it():
    _, lower = layer(0, 3, 2)
    _, upper = layer(1, 4, 3)
    series = TrainableSeries([lower, upper])
    outputs = series.forward(drawn(2, N_ROWS, seed=3))
    assert outputs.shape == (4, N_ROWS)
    assert series.backward(outputs.clone(), wants_below=False) is None
    series.forward(drawn(2, N_ROWS, seed=3))
    below = series.backward(torch.ones((4, N_ROWS)).double(), wants_below=True)
    assert below.shape == (2, N_ROWS)
