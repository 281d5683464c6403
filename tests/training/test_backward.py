"""The gradient of a bank in training, and the memory it works in."""

import numpy as np
import pytest
import torch

from skgrow.networks.bank import BranchBank
from skgrow.training.bank_gradient import TrainableBank


def bank_of(sizes, n_branches=6, n_outputs=3, dtype=np.float64):
    regions = np.random.RandomState(1).randint(5, size=(n_branches, 2))
    state = np.random.RandomState(0)
    return BranchBank.random(regions, sizes, n_outputs, state, np.dtype(dtype))


def inputs_of(bank, n_rows, seed=2):
    X = np.random.RandomState(seed).normal(size=(n_rows, 5)).astype(bank.dtype)
    return X, torch.tensor(X.T[bank.regions])  # (branches, region_size, rows)


def by_autograd(bank, n_replicas, inputs, grad):
    """Gradients of `(logits * grad).sum()` by torch, in the shapes of the bank."""
    arrays = [torch.tensor(a, requires_grad=True) for a in (*bank.weights, *bank.biases)]
    weights, biases = arrays[: len(bank.weights)], arrays[len(bank.weights) :]
    hidden = inputs.transpose(1, 2)  # (branches, rows, region_size)
    for weight, bias in zip(weights[:-1], biases, strict=True):
        hidden = (hidden @ weight + bias[:, None]).relu()
    terms = (hidden @ weights[-1]).unflatten(0, (n_replicas, -1))
    logits = terms.sum(dim=1).transpose(1, 2)  # (n_replicas, n_outputs, rows)
    (logits * grad).sum().backward()
    return logits.detach(), [array.grad.numpy() for array in arrays]


def arrays_of(network):
    """The gradient in the shapes of the bank."""
    network.parameters.copy_(network.parameters.grad)
    found = network.trained()
    last = found.weights[-1] * network.n_replicas  # `trained` gives the mean
    return [*found.weights[:-1], last, *found.biases]


@pytest.mark.parametrize("n_replicas", [1, 2, 3])
@pytest.mark.parametrize("sizes", [(4,), (4, 7), (9, 3, 5)])
def test_gradient_is_that_of_autograd(n_replicas, sizes):
    bank = bank_of(sizes)
    network = TrainableBank(bank, n_replicas)
    for n_rows in (11, 4, 30):  # memory is used again, and grows
        _, inputs = inputs_of(bank, n_rows)
        draw = np.random.RandomState(n_rows).normal(size=(n_replicas, 3, n_rows))
        grad = torch.tensor(draw)
        logits, expected = by_autograd(bank, n_replicas, inputs, grad)
        np.testing.assert_allclose(network.logits(inputs), logits, atol=1e-12)
        network.backward(grad)
        start = network.parameters.clone()
        for found, wanted in zip(arrays_of(network), expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-12)
        network.parameters.copy_(start)


@pytest.mark.parametrize("n_replicas", [1, 2])
def test_trained_is_the_mean_of_the_replicas(n_replicas):
    bank = bank_of((4, 4))
    X, inputs = inputs_of(bank, 9)
    network = TrainableBank(bank, n_replicas)
    mean = network.logits(inputs).mean(dim=0).T
    np.testing.assert_allclose(network.trained().logits(X), mean, atol=1e-12)


def test_computes_in_another_dtype():
    bank = bank_of((4, 4))
    network = TrainableBank(bank, dtype=np.dtype(np.float32))
    assert network.parameters.dtype == torch.float32
    assert network.trained().dtype == np.float64
    np.testing.assert_allclose(network.trained().weights[0], bank.weights[0], rtol=1e-6)


def test_the_bank_is_left_alone():
    bank = bank_of((4, 4))
    before = [array.copy() for array in (*bank.weights, *bank.biases)]
    network = TrainableBank(bank)
    network.parameters.zero_()
    for array, old in zip((*bank.weights, *bank.biases), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_the_penalty_sees_weights_only():
    bank = bank_of((4, 4))
    network = TrainableBank(bank)
    squares = sum((w**2).sum() for w in bank.weights)
    np.testing.assert_allclose(float(network.penalty.square().sum()), squares)
