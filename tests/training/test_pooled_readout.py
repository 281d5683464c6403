"""Gradients of branches that pool over places, against those of torch."""

import numpy as np
import pytest
import torch
from plain_windows import K, pixels, windowed_bank

from skgrow.training.bank_gradient import TrainableBank
from skgrow.training.bank_training import TrainingData, TrainingPlan, train_bank


def by_autograd(bank, n_replicas, inputs, slope, pooling):
    """Logits and gradients of `(logits * slope).sum()`, in the shapes of the bank."""
    arrays = [torch.tensor(a, requires_grad=True) for a in (*bank.weights, *bank.biases)]
    weights, biases = arrays[: len(bank.weights)], arrays[len(bank.weights) :]
    places = []
    for hidden in inputs.chunk(bank.window.n_places, dim=2):
        hidden = hidden.transpose(1, 2)  # (branches, rows, region_size)
        for weight, bias in zip(weights[:-1], biases, strict=True):
            hidden = (hidden @ weight + bias[:, None]).relu()
        places.append(hidden @ weights[-1])
    places = torch.stack(places)
    terms = places.mean(dim=0) if pooling == "mean" else places.max(dim=0).values
    logits = terms.unflatten(0, (n_replicas, -1)).sum(dim=1).transpose(1, 2)
    (logits * slope).sum().backward()
    return logits.detach(), [array.grad.numpy() for array in arrays]


def arrays_of(network):
    """The gradient in the shapes of the bank."""
    network.parameters.copy_(network.parameters.grad)
    found = network.trained()
    last = found.weights[-1] * network.n_replicas  # `trained` gives the mean
    return [*found.weights[:-1], last, *found.biases]


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("n_replicas", [1, 2])
@pytest.mark.parametrize("sizes", [(4,), (4, 7), (9, 3, 5)])
def test_gradient_is_that_of_autograd(pooling, n_replicas, sizes):
    bank = windowed_bank(pooling, sizes)
    bank = bank.take(slice(6))
    X = pixels(11)
    places = bank.window.places_of(bank.regions)  # (branches, region_size, n_places)
    inputs = torch.tensor(X.T[places]).flatten(2)
    slope = torch.tensor(np.random.RandomState(3).normal(size=(n_replicas, K, 11)))
    expected = by_autograd(bank, n_replicas, inputs, slope, pooling)
    network = TrainableBank(bank, n_replicas)
    for _ in range(2):  # memory is used again
        logits = network.logits(inputs)
        np.testing.assert_allclose(logits, expected[0], atol=1e-13)
        network.backward(slope)
    for found, grad in zip(arrays_of(network), expected[1], strict=True):
        assert np.abs(grad).max() > 1e-3
        np.testing.assert_allclose(found, grad, atol=1e-13)


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("n_replicas", [1, 2])
def test_logits_in_training_are_those_of_the_bank(pooling, n_replicas):
    """Training lowers the loss of what the trained bank itself predicts."""
    bank, X = windowed_bank(pooling, (5,)), pixels(300)
    bank = bank.take(slice(2 * (bank.n_branches // 2)))
    # Which of three edges the image has somewhere in its first channel.
    image = X.reshape(-1, 2, 7, 9)
    y = np.digitize(image[:, 0, :3, :3].mean(axis=(1, 2)), [-0.1, 0.1])
    share = None
    if n_replicas > 1:
        share = np.ones((300, 2))
        share[::2, 0] = share[1::2, 1] = 0
    data = TrainingData(X, y, np.ones(300), np.zeros((1, K)), share)
    plan = TrainingPlan(max_iter=15, batch_size=50, learning_rate=0.02)
    trained, record = train_bank(bank, data, plan)
    assert trained.window == bank.window
    logits = trained.logits(X)
    loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(300), y])
    assert loss < 0.97 * np.log(3)
    if n_replicas == 1:
        assert abs(loss - record.loss_curve[-1]) < 0.05
