"""Operations that preserve the function do, to rounding, and keep what Adam knows."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skgrow.growth.inside import surgery
from skgrow.networks.blocks import Layer, activation
from skgrow.networks.perceptron import Perceptron

EXACT = {"rtol": 0, "atol": 1e-12}
X = np.random.RandomState(1).normal(size=(50, 6))


def network(sizes=(6, 5, 4, 3), seed=0):
    """Random numbers everywhere, in the moments too."""
    rng = np.random.RandomState(seed)
    net = Perceptron.random(sizes, rng, np.float64)
    layers = [
        replace(
            layer,
            weight=np.stack([layer.weight[0], *rng.rand(2, *layer.weight.shape[1:])]),
            bias=np.stack([layer.bias[0], *rng.rand(2, layer.n_out)]),
            n_steps=7,
        )
        for layer in net.layers
    ]
    return Perceptron(tuple(layers))


def add_silent(net, rng):
    return surgery.add_units(net, 1, rng.rand(3, 5), rng.rand(3), np.zeros((3, 3)))


def add_without_inputs(net, rng):
    return surgery.add_units(net, 0, np.zeros((2, 6)), np.zeros(2), rng.rand(4, 2))


def split(net, rng):
    return surgery.split_units(net, 0, np.array([2, 2, 4]))


def deepen(net, rng):
    return surgery.insert_identity(net, 1)


def deepen_twice(net, rng):
    return surgery.insert_identity(surgery.insert_identity(net, 0), 0)


def decompose(net, rng):
    return surgery.insert_decomposed(net, 0, 9, rng)


def decompose_by_rank(net, rng):
    weight = net.layers[1].weight.copy()
    weight[0] = np.outer(rng.rand(4), rng.rand(5)) + np.outer(rng.rand(4), rng.rand(5))
    flat = net.with_layers(1, 1, replace(net.layers[1], weight=weight))
    return flat, surgery.insert_decomposed(flat, 0, 2, rng)


def add_closed_block(net, rng):
    return surgery.insert_block(net, 0, rng.rand(5, 5), rng.rand(5), np.zeros(5))


def deepen_a_block(net, rng):
    """What a block puts out may be negative; a plain ReLU would cut it off."""
    blocked = surgery.insert_block(net, 0, rng.rand(5, 5), rng.rand(5), -np.ones(5))
    return blocked, surgery.insert_identity(blocked, 1)


def take_out_again(net, rng):
    return surgery.fuse(surgery.insert_decomposed(net, 0, 9, rng), 1)


def thin_out(net, rng):
    """Masks with a unit without incoming connections, others without outgoing ones."""
    for i, layer in enumerate(net.layers):
        mask = rng.rand(layer.n_out, layer.n_in) < 0.6
        mask[0] = mask[0] if i else False
        mask[:, 1] = mask[:, 1] if i < 2 else False
        net = surgery.keep_connections(net, i, mask)
    return net


def drop_idle(net, rng):
    # With positive biases, a unit without incoming connections still has an output.
    biased = [replace(ly, bias=np.abs(ly.bias) + 1) for ly in net.layers]
    thin = thin_out(Perceptron(tuple(biased)), rng)
    dropped = surgery.drop_idle_units(thin)
    assert sum(dropped.widths) < sum(thin.widths)
    return thin, dropped


def widen_a_thin_one(net, rng):
    thin = thin_out(net, rng)
    wider = surgery.split_units(add_silent(thin, rng), 0, np.array([0, 3]))
    assert wider.layers[0].mask.sum() == thin.layers[0].mask[[*range(5), 0, 3]].sum()
    assert wider.is_sound()
    return thin, wider


PRESERVING = [
    add_silent, add_without_inputs, split, deepen, deepen_twice, decompose,
    decompose_by_rank, add_closed_block, deepen_a_block, take_out_again,
    drop_idle, widen_a_thin_one,
]  # fmt: skip


@pytest.mark.parametrize("operation", PRESERVING)
def test_outputs_stay(operation):
    net = network()
    changed = operation(net, np.random.RandomState(2))
    if isinstance(changed, tuple):
        net, changed = changed
    np.testing.assert_allclose(changed.outputs(X), net.outputs(X), **EXACT)
    if operation not in (take_out_again, drop_idle):
        assert changed.n_parameters > net.n_parameters


def test_moments_of_what_stays_are_kept_and_those_of_new_units_are_zero():
    net = network()
    wider = add_silent(net, np.random.RandomState(2))
    np.testing.assert_array_equal(wider.layers[1].weight[:, :4], net.layers[1].weight)
    np.testing.assert_array_equal(wider.layers[2].weight[..., :4], net.layers[2].weight)
    assert not wider.layers[1].weight[1:, 4:].any()
    assert not wider.layers[2].weight[1:, :, 4:].any()
    assert wider.layers[1].n_steps == 7


def test_a_split_unit_has_the_gradients_that_its_moments_are_scaled_for():
    """`1/m` of the inputs' gradient for each of `m` copies, the readers' unchanged."""
    net = network()
    changed = split(net, None)
    old, new = (gradients(n) for n in (net, changed))
    np.testing.assert_allclose(new[0]["weight"][[2, 5, 6]], old[0]["weight"][[2] * 3] / 3)
    np.testing.assert_allclose(new[1]["weight"][:, 5], old[1]["weight"][:, 2])
    first, second = changed.layers[0].weight[1:]
    np.testing.assert_allclose(first[5], net.layers[0].weight[1][2] / 3)
    np.testing.assert_allclose(second[5], net.layers[0].weight[2][2] / 9)


def test_a_split_unit_has_its_slope_and_a_share_of_the_slopes_moments():
    slope = np.random.RandomState(3).rand(3, 5)
    net = network()
    bending = net.with_layers(0, 1, replace(net.layers[0], slope=slope))
    changed = split(bending, None)
    np.testing.assert_allclose(changed.outputs(X), bending.outputs(X), **EXACT)
    old, new = (gradients(n)[0]["slope"] for n in (bending, changed))
    np.testing.assert_allclose(new[[2, 5, 6]], old[[2] * 3] / 3)
    value, first, second = changed.layers[0].slope[:, 5]
    expected = slope[0, 2], slope[1, 2] / 3, slope[2, 2] / 9
    np.testing.assert_allclose((value, first, second), expected)


def gradients(net):
    from skgrow.networks.perceptron import forward

    tensors = net.tensors()
    parameters = [t.requires_grad_() for layer in tensors for t in layer.values()]
    (forward(torch.tensor(X), tensors) ** 2).sum().backward()
    assert all(p.grad is not None for p in parameters)
    return [{name: t.grad.numpy() for name, t in layer.items()} for layer in tensors]


def test_weights_that_are_used_are_connected():
    thin = thin_out(network(), np.random.RandomState(2))
    weight = thin.layers[1].weight + 1.0
    used = surgery.connect_used(
        thin.with_layers(1, 1, replace(thin.layers[1], weight=weight))
    )
    assert used.layers[1].mask.all()
    np.testing.assert_array_equal(used.layers[0].mask, thin.layers[0].mask)


def test_removing_new_units_gives_the_network_back():
    net = network()
    wider = add_silent(net, np.random.RandomState(2))
    again = surgery.remove_units(wider, 1, np.arange(4))
    for old, new in zip(net.layers, again.layers, strict=True):
        np.testing.assert_array_equal(old.weight, new.weight)


def test_our_relu_learns_at_zero():
    z = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
    activation(z).sum().backward()
    assert z.grad.tolist() == [0, 1, 1]
    np.testing.assert_allclose(activation(z, torch.tensor(0.25)).detach(), [-0.25, 0, 2])


def with_block():
    return surgery.insert_block(network(), 0, np.eye(5), np.zeros(5), np.ones(5))


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda: surgery.add_units(network(), 2, [], [], []), "layer 2 does not exist"),
        (lambda: surgery.insert_identity(network(), -1), "layer -1 does not exist"),
        (lambda: surgery.split_units(with_block(), 0, [0]), "layer 0 cannot get units"),
        (lambda: surgery.insert_decomposed(network(), 0, 2, None), "rank 4"),
        (lambda: surgery.insert_decomposed(with_block(), 0, 9, None), "residual block"),
        (lambda: surgery.fuse(network(), 0), "is not linear"),
        (lambda: surgery.fuse(with_block(), 0), "residual block"),
    ],
)
def test_what_cannot_be_done_is_reported(cut, message):
    with pytest.raises(ValueError, match=message):
        cut()


def test_a_layer_counts_its_numbers():
    layer = Layer.of(np.ones((3, 2)), np.ones(3), np.ones(3), np.ones(3))
    assert list(layer.arrays) == ["weight", "bias", "slope", "gate"]
    assert (layer.n_in, layer.n_out) == (2, 3)
