"""A dense network: sizes, the forward pass, and whether its parts fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skgrow.networks.blocks import Layer, Parallel, parts_of, with_moments
from skgrow.networks.perceptron import Perceptron, forward, random_units
from skgrow.networks.row_scores import ROWS_PER_CHUNK

RNG = np.random.RandomState(0)


def layer(n_out, n_in, **arrays):
    drawn = RNG.normal(size=(n_out, n_in)), RNG.normal(size=n_out)
    return Layer.of(*drawn, **arrays)


def chain():
    gate = RNG.normal(size=4)
    return Perceptron((layer(4, 3), layer(4, 4, gate=gate), layer(2, 4)))


def tree():
    """Two paths of different lengths are added, then three units beside two."""
    scale = with_moments(RNG.normal(size=2))
    total = Parallel(((layer(4, 3),), (layer(5, 3), layer(4, 5))), scale)
    side = Parallel(((layer(3, 4),), (layer(2, 4),)))
    return Perceptron((total, side, layer(2, 5)))


NETS = {"chain": chain, "tree": tree}


def test_sizes_of_a_chain():
    net = chain()
    assert (net.widths, net.n_hidden, net.n_units) == ((4, 4), 2, 8)
    assert net.n_multiply_adds == 4 * 3 + 4 * 4 + 2 * 4
    assert net.n_parameters == net.n_multiply_adds + 4 + (4 + 4) + 2


def test_sizes_of_a_tree():
    net = tree()
    assert (net.widths, net.n_hidden, net.n_units) == ((4, 5), 2, 4 + 5 + 4 + 3 + 2)
    assert net.n_multiply_adds == 4 * 3 + 5 * 3 + 4 * 5 + 3 * 4 + 2 * 4 + 2 * 5
    assert net.n_parameters == net.n_multiply_adds + 4 + 5 + 4 + 2 + 3 + 2 + 2
    assert net.dtype == np.float64


def relu(z):
    return np.maximum(z, 0)


def sums(block, x):
    return x @ block.weight[0].T + block.bias[0]


def test_a_chain_computes_its_formula():
    net, X = chain(), RNG.normal(size=(20, 3))
    first, block, readout = net.layers
    h = relu(sums(first, X))
    h = h + block.gate[0] * relu(sums(block, h))
    np.testing.assert_allclose(net.outputs(X), sums(readout, h), rtol=0, atol=1e-12)


def test_a_tree_computes_its_formula():
    net, X = tree(), RNG.normal(size=(20, 3))
    total, side, readout = net.layers
    [[a], [b, c]] = total.branches
    h = total.scale[0, 0] * relu(sums(a, X))
    h = h + total.scale[0, 1] * relu(sums(c, relu(sums(b, X))))
    h = np.hstack([relu(sums(branch[0], h)) for branch in side.branches])
    np.testing.assert_allclose(net.outputs(X), sums(readout, h), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_chunks_of_rows_are_put_together(name):
    net, X = NETS[name](), RNG.normal(size=(ROWS_PER_CHUNK + 3, 3))
    places = [0, ROWS_PER_CHUNK - 1, ROWS_PER_CHUNK + 2]
    parts = [net.outputs(X[k : k + 1]) for k in places]
    whole = net.outputs(X)
    assert whole.shape == (len(X), 2)
    found = whole[places]
    np.testing.assert_allclose(found, np.vstack(parts), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_what_is_seen_stands_by_the_number_of_the_block(name):
    net, X, seen = NETS[name](), torch.tensor(RNG.normal(size=(5, 3))), []
    outputs = forward(X, net.tensors(), seen)
    assert [x.shape[1] for x, _ in seen] == [3, *net.widths]
    assert [z.shape[1] for _, z in seen] == [*net.widths, 2]
    assert seen[-1][1] is outputs


def test_random_weights_are_those_of_torch_linear():
    weight, bias = random_units(2000, 16, np.random.RandomState(0), np.float32)
    assert (weight.dtype, weight.shape, bias.shape) == (np.float32, (2000, 16), (2000,))
    for values in (weight, bias):
        assert np.abs(values).max() == pytest.approx(0.25, abs=1e-3)
        assert values.std() == pytest.approx(0.5 / 12**0.5, rel=0.05)
    random = Perceptron.random((16, 5, 3), np.random.RandomState(0), np.float32)
    assert random.is_sound()
    assert [(p.n_in, p.n_out) for p in parts_of(random.layers)] == [(16, 5), (5, 3)]


# ------------------------------------------------------------------ what does not fit


@pytest.mark.parametrize("name", NETS)
def test_what_fits_does(name):
    net = NETS[name]()
    assert net.is_sound()
    assert net.misfits(3, 2) == []
    assert net.misfits(4, 2) == ["inputs"]
    assert net.misfits(3, 1) == ["outputs"]


def with_planes(part, name, change):
    planes = getattr(part, name).copy()
    change(planes)
    return replace(part, **{name: planes})


def negative(planes):
    planes[2].flat[-1] = -1


def test_second_moments_are_not_negative():
    net = tree()
    total = with_planes(net.layers[0], "scale", negative)
    assert net.with_layers(0, 1, total).misfits(3, 2) == ["second moments"]
    inner = with_planes(net.layers[1].branches[1][0], "bias", negative)
    side = Parallel((net.layers[1].branches[0], (inner,)))
    assert net.with_layers(1, 1, side).misfits(3, 2) == ["second moments"]


def whole_numbers():
    return Perceptron((Layer.of(np.ones((2, 3), int), np.zeros(2, int)),))


WRONG = {
    "nothing": lambda: Perceptron(()),
    "no branches": lambda: tree().with_layers(0, 1, Parallel(())),
    "empty branches": lambda: tree().with_layers(0, 1, Parallel(((), ()))),
    "widths": lambda: tree().with_layers(1, 1, layer(4, 4)),
    "a readout of branches": lambda: Perceptron((Parallel(((layer(2, 3),),)),)),
    "no block": lambda: tree().with_layers(0, 1, None),
    "whole numbers": whole_numbers,
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named(name):
    assert WRONG[name]().misfits(3, 2) == ["layers"]


def test_layers_in_the_place_of_others_leave_the_network_alone():
    net = tree()
    fresh = layer(5, 5)
    longer = net.with_layers(2, 0, fresh)
    assert longer.layers == (*net.layers[:2], fresh, net.layers[2])
    assert (longer.widths, net.widths) == ((4, 5, 5), (4, 5))
    with pytest.raises(AttributeError):
        net.layers = ()
