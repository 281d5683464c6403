"""Layers become branches: outputs stay, Adam's moments fit, and growth goes on."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import skgrow
from skgrow import GrowingMLPClassifier, GrowingMLPRegressor
from skgrow.growth.inside import surgery
from skgrow.growth.inside.how import HOW
from skgrow.growth.inside.probe import Probe
from skgrow.growth.inside.where import WHERE, At
from skgrow.networks.blocks import Layer, Parallel, block_at, parts_of
from skgrow.networks.perceptron import Perceptron, forward
from skgrow.policies import (
    GradMax,
    Morphism,
    NeST,
    Stacking,
    add_units,
    branch_layer,
    insert_block,
)
from skgrow.training.dense_training import Rows, train_pass

EXACT = {"rtol": 0, "atol": 1e-12}
X = np.random.RandomState(1).normal(size=(50, 6))
Y = np.arange(50) % 3


def planes(rng, *shape):
    return np.stack([rng.normal(size=shape), *rng.rand(2, *shape)])


def network(slope=True, mask=True, seed=0):
    """Hidden layers of 5, 5 and 4 units with moments; the second one may be thin."""
    rng = np.random.RandomState(seed)
    sizes, layers = (6, 5, 5, 4, 3), []
    for k, (n_in, n_out) in enumerate(pairwise(sizes)):
        weight, thin = planes(rng, n_out, n_in), None
        if k == 1 and mask:
            thin = rng.uniform(size=(n_out, n_in)) < 0.6
            weight = weight * thin
        bends = planes(rng, n_out) if slope and k < 3 else None
        fresh = Layer(weight, planes(rng, n_out), bends, n_steps=7, mask=thin)
        layers.append(fresh)
    return Perceptron(tuple(layers))


def gated():
    """The second hidden layer is a residual block."""
    net = network()
    gate = planes(np.random.RandomState(3), 5)
    return net.with_layers(1, 1, replace(net.layers[1], gate=gate))


def branched(merge="add"):
    return branch_layer(network(), 1, 2, merge)


def probe(seed=0):
    rows = Rows.of(X, Y, np.ones(len(X)), "cpu")
    return Probe(rows, np.random.RandomState(seed))


# ---------------------------------------------------------------------------- exactness


@pytest.mark.parametrize("path", [0, (1,), 2])
@pytest.mark.parametrize("n_branches", [2, 3, 4])
@pytest.mark.parametrize("merge", ["add", "concat"])
def test_outputs_stay(path, n_branches, merge):
    net = network()
    changed = branch_layer(net, path, n_branches, merge)
    np.testing.assert_allclose(changed.outputs(X), net.outputs(X), **EXACT)
    assert changed.is_sound()
    assert changed.misfits(6, 3) == []
    assert (changed.widths, changed.n_hidden) == (net.widths, net.n_hidden)
    block = changed.layers[path if isinstance(path, int) else path[0]]
    assert len(block.branches) == n_branches
    assert block.merge == merge


def test_residual_blocks_have_copies():
    net = gated()
    changed = branch_layer(net, 1, 3)
    np.testing.assert_allclose(changed.outputs(X), net.outputs(X), **EXACT)


def test_outputs_stay_at_any_depth_of_the_tree():
    net = changed = network()
    for path, n_branches, merge in [
        (0, 2, "concat"),
        ((0, 1, 0), 2, "add"),
        ((0, 1, 0, 1, 0), 3, "add"),
        ((0, 1, 0, 1, 0, 2, 0), 2, "concat"),
        ((0, 0, 0), 2, "concat"),
        (2, 2, "add"),
    ]:
        before = changed
        changed = branch_layer(before, path, n_branches, merge)
        assert changed.n_units >= before.n_units
        assert changed.is_sound()
        np.testing.assert_allclose(changed.outputs(X), net.outputs(X), **EXACT)
    assert isinstance(block_at(changed.layers, (0, 1, 0, 1, 0, 2, 0)), Parallel)


def test_copies_cost_their_weights_and_groups_nothing():
    net = network()
    per_layer = net.layers[1].n_weights + 5 + 5  # biases, slopes
    added, groups = branch_layer(net, 1, 3), branch_layer(net, 1, 3, "concat")
    assert added.n_parameters == net.n_parameters + 2 * per_layer + 3  # and scales
    assert added.n_multiply_adds == net.n_multiply_adds + 2 * net.layers[1].n_weights
    assert added.n_units == net.n_units + 10
    assert groups.n_parameters == net.n_parameters
    assert groups.n_units == net.n_units


def test_the_network_of_before_is_left_alone():
    net = network()
    copies = [part.weight.copy() for part in net.layers]
    branch_layer(net, 1, 2, shift=np.ones((1, 5, 5)))
    assert [type(layer) for layer in net.layers] == [Layer] * 4
    for layer, weight in zip(net.layers, copies, strict=True):
        np.testing.assert_array_equal(layer.weight, weight)


def test_float32_stays_float32():
    net = network()
    layers = [
        replace(ly, **{n: a.astype("f4") for n, a in ly.arrays.items()})
        for ly in net.layers
    ]
    changed = branch_layer(Perceptron(tuple(layers)), 1, 3, shift=np.zeros((2, 5, 5)))
    assert changed.is_sound()
    assert changed.dtype == np.float32


def test_a_shift_moves_all_copies_but_the_first_and_no_missing_weight():
    net, rng = network(), np.random.RandomState(2)
    shift = rng.normal(size=(2, 5, 5))
    layer = net.layers[1]
    branches = branch_layer(net, 1, 3, shift=shift).layers[1].branches
    for k, [copy] in enumerate(branches):
        moved = 0 if k == 0 else shift[k - 1] * layer.mask
        np.testing.assert_array_equal(copy.weight[0], layer.weight[0] + moved)
        np.testing.assert_array_equal(copy.mask, layer.mask)


# ------------------------------------------------------------------------------- moments


def gradients(net):
    """Of each part of a network, in the order of `parts_of`."""
    tensors = net.tensors()
    seen = []

    def wanted(blocks):
        for block in blocks:
            for branch in block.get("branches", ()):
                wanted(branch)
            own = {name: t for name, t in block.items() if name != "branches"}
            seen.append({name: t.requires_grad_() for name, t in own.items()})

    wanted(tensors)
    (forward(torch.tensor(X), tensors) ** 2).sum().backward()
    return [{name: t.grad.numpy() for name, t in part.items()} for part in seen]


@pytest.mark.parametrize("make", [network, gated])
def test_a_copy_has_the_gradients_that_its_moments_are_scaled_for(make):
    """`1/3` of the gradient of each number for each of 3 copies."""
    net = make()
    changed = branch_layer(net, 1, 3)
    old, new = gradients(net), gradients(changed)
    names = net.layers[1].arrays
    for k in range(3):
        copy = block_at(changed.layers, (1, k, 0))
        assert copy.n_steps == 7
        for name, before in names.items():
            np.testing.assert_allclose(new[1 + k][name], old[1][name] / 3, rtol=1e-12)
            value, first, second = getattr(copy, name)
            np.testing.assert_array_equal(value, before[0])
            np.testing.assert_allclose(first, before[1] / 3)
            np.testing.assert_allclose(second, before[2] / 9)
    scale = changed.layers[1].scale
    np.testing.assert_allclose(scale, [[1 / 3] * 3, [0] * 3, [0] * 3])
    assert changed.layers[1].n_steps == 0


def test_groups_have_all_of_the_layer_in_order():
    net = network()
    block = branch_layer(net, 1, 2, "concat").layers[1]
    layer, groups = net.layers[1], [branch[0] for branch in block.branches]
    assert [group.n_out for group in groups] == [3, 2]
    assert [group.n_steps for group in groups] == [7, 7]
    for name, before in layer.arrays.items():
        parts = [getattr(group, name) for group in groups]
        np.testing.assert_array_equal(np.concatenate(parts, axis=1), before)
    masks = np.concatenate([group.mask for group in groups])
    np.testing.assert_array_equal(masks, layer.mask)


def test_groups_train_as_the_layer_did():
    """The same numbers, the same gradients, the same moments: the same network."""
    net, rows = network(), Rows.of(X, Y, np.ones(len(X)), "cpu")
    changed = branch_layer(net, 1, 2, "concat")
    for k in range(3):
        net, changed = (
            train_pass(
                one, rows, torch.Generator().manual_seed(k), batch_size=16,
                learning_rate=1e-2, alpha=0.1,
            )[0]
            for one in (net, changed)
        )  # fmt: skip
    np.testing.assert_allclose(changed.outputs(X), net.outputs(X), rtol=0, atol=1e-9)


def test_shifted_copies_grow_apart_and_learn():
    rows = Rows.of(X, Y, np.ones(len(X)), "cpu")
    shift = 0.1 * np.random.RandomState(0).normal(size=(1, 5, 5))
    net = branch_layer(network(), 1, shift=shift)
    losses = []
    for k in range(30):
        generator = torch.Generator().manual_seed(k)
        net, loss = train_pass(net, rows, generator, batch_size=16, learning_rate=1e-2)
        losses.append(loss)
    assert losses[-1] < 0.8 * losses[0]
    [one], [two] = net.layers[1].branches
    assert np.abs(one.bias[0] - two.bias[0]).max() > 1e-3
    assert np.abs(net.layers[1].scale[0] - 0.5).min() > 1e-3


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (lambda: branch_layer(network(), 3), "block 3 is the readout"),
        (lambda: branch_layer(network(), 4), r"no block at path \(4,\)"),
        (lambda: branch_layer(network(), (0, 1, 0)), r"no block at path \(0, 1, 0\)"),
        (lambda: branch_layer(network(), ()), r"no block at path \(\)"),
        (lambda: branch_layer(network(), 0.5), r"no block at path \(0\.5,\)"),
        (lambda: branch_layer(network(), "a"), r"no block at path \('a',\)"),
        (lambda: branch_layer(branched(), 1), r"already; .* such as \(1, 0, 0\)"),
        (lambda: branch_layer(branched(), (1, 0)), r"no block at path \(1, 0\)"),
        (lambda: branch_layer(network(), 0, 1), "n_branches=1"),
        (lambda: branch_layer(network(), 0, 2.5), "whole number, got 2.5"),
        (lambda: branch_layer(network(), 0, True), "whole number, got True"),
        (lambda: branch_layer(network(), 0, 2, "mean"), "'add' or 'concat', got 'mean'"),
        (lambda: branch_layer(network(), 0, 6, "concat"), "5 units has no 6 groups"),
        (lambda: branch_layer(gated(), 1, 2, "concat"), "residual block.*merge='add'"),
        (
            lambda: branch_layer(network(), 0, shift=np.ones((1, 5, 5))),
            r"not \(1, 5, 6\)",
        ),
        (
            lambda: branch_layer(network(), 1, 2, "concat", np.ones((1, 5, 5))),
            "merge='concat' makes none",
        ),
    ],
)
def test_what_cannot_be_branched_is_told(cut, message):
    with pytest.raises(ValueError, match=message):
        cut()


# ------------------------------------------------- the operations and policies of before


@pytest.mark.parametrize("merge", ["add", "concat"])
def test_layers_can_be_put_above_a_parallel_block(merge):
    net = branched(merge)
    block = np.random.RandomState(0).normal(size=(5, 5))
    for changed in (
        surgery.insert_identity(net, 1),
        insert_block(net, 1, block, np.zeros(5), np.zeros(5)),
        surgery.insert_decomposed(net, 1, 9, np.random.RandomState(0)),
    ):
        np.testing.assert_allclose(changed.outputs(X), net.outputs(X), **EXACT)
        assert changed.n_hidden == net.n_hidden + 1
        assert isinstance(changed.layers[1], Parallel)


def test_an_identity_passes_negative_outputs_of_a_sum():
    """A sum of ReLUs with a negative scale is cut off by another ReLU."""
    net = branch_layer(network(slope=False), 1)
    block = net.layers[1]
    scale = block.scale * [[-1], [1], [1]]
    net = net.with_layers(1, 1, replace(block, scale=scale))
    changed = surgery.insert_identity(net, 1)
    np.testing.assert_allclose(changed.outputs(X), net.outputs(X), **EXACT)


REFUSED = {
    "units of it": lambda net: add_units(net, 1, np.ones((1, 5)), [0], np.ones((4, 1))),
    "units it reads": lambda net: add_units(
        net, 0, np.ones((1, 6)), [0], np.ones((5, 1))
    ),
    "split": lambda net: surgery.split_units(net, 1, [0]),
    "removed": lambda net: surgery.remove_units(net, 0, [0]),
    "fused": lambda net: surgery.fuse(net, 1),
    "fused into it": lambda net: surgery.fuse(net, 0),
    "decomposed": lambda net: surgery.insert_decomposed(net, 0, 9, None),
    "connections": lambda net: surgery.keep_connections(net, 1, np.ones((5, 5), bool)),
    "stack": lambda net: Stacking(gate="zero").start(net, 1, 1, probe()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_a_layer_refuses_a_parallel_block(name):
    with pytest.raises(ValueError, match="parallel"):
        REFUSED[name](branched())


@pytest.mark.parametrize("how", [h for h in HOW.values() if h.axis == "width"])
def test_no_way_to_grow_widens_a_parallel_block_or_what_feeds_it(how):
    for i in (0, 1):
        with pytest.raises(ValueError, match=f"layer {i} cannot get units"):
            how().start(branched(), i, 2, probe())


@pytest.mark.parametrize("how", [h for h in HOW.values() if h.axis == "width"])
def test_plain_layers_still_get_units(how):
    net = branched()
    grown = how().start(net, 2, 2, probe())
    assert grown.widths == (5, 5, 6)
    assert grown.is_sound()
    assert grown.layers[1] is net.layers[1]


@pytest.mark.parametrize("how", [h for h in HOW.values() if h.axis == "depth"])
def test_layers_are_added_above(how):
    net = branched()
    i = 1 if how is Stacking else 2  # a stack keeps its width
    grown = how().start(net, i, 1, probe())
    assert grown.n_hidden == 4
    assert grown.is_sound()


@pytest.mark.parametrize("where", [w for w in WHERE.values() if w.axis == "width"])
def test_units_go_to_plain_layers(where):
    """Layer 0 feeds the block, which is layer 1."""
    assert where().choose(branched(), 3, probe()) == {2: 3}


@pytest.mark.parametrize("where", [w for w in WHERE.values() if w.axis == "depth"])
def test_places_of_layers_are_numbers_of_blocks(where):
    [(i, n)] = where().choose(branched(), 1, probe()).items()
    assert 0 <= i < 3
    assert n == 1


def test_no_plain_layer_is_told():
    net = branch_layer(branch_layer(network(), 0), 2)
    assert At(1).choose(net, 2, probe()) == {1: 2}
    with pytest.raises(ValueError, match="a residual or a parallel block"):
        WHERE["all"]().choose(net, 2, probe())


def test_signals_of_a_parallel_block_are_its_inputs_and_outputs():
    """Differences of the loss, the slow way, for a step of each output of one row."""
    net, look = branch_layer(network(), 0), probe()
    inputs, slopes = look.signals(net)
    assert [g.shape[1] for g in slopes] == [5, 5, 4, 3]
    np.testing.assert_array_equal(inputs[0], X)
    upper = Perceptron(net.layers[1:])
    for j in range(5):
        losses = []
        for step in (1e-6, -1e-6):
            h = inputs[1].copy()
            h[7, j] += step
            losses.append(float(look.rows.loss(torch.tensor(upper.outputs(h)))))
        difference = (losses[0] - losses[1]) / 2e-6
        assert slopes[0][7, j] == pytest.approx(difference, abs=1e-8)
    np.testing.assert_array_equal(look.pre_activations(net)[0], inputs[1])


def test_pruning_leaves_parallel_blocks_alone():
    net = branched()
    smaller = NeST().smaller(net)
    assert smaller.n_parameters < net.n_parameters
    assert smaller.layers[1] is net.layers[1]
    assert smaller.is_sound()
    assert Morphism().smaller(branch_layer(net, 2)) is None


def test_connections_in_branches_follow_their_weights():
    net = branched()
    [copy] = net.layers[1].branches[0]
    weight = copy.weight + 1.0
    block = replace(
        net.layers[1],
        branches=((replace(copy, weight=weight),), net.layers[1].branches[1]),
    )
    used = surgery.connect_used(net.with_layers(1, 1, block))
    one, two = (branch[0] for branch in used.layers[1].branches)
    assert one.mask.all()
    np.testing.assert_array_equal(two.mask, copy.mask)


# ------------------------------------------------------------------------------ a model


class Branched(GradMax):
    """Starts with three branches in the place of the first layer, grows as GradMax."""

    def begin(self, net, random_state):
        layer = net.layers[0]
        shift = 0.1 * random_state.normal(size=(2, layer.n_out, layer.n_in))
        net = branch_layer(net, 0, 3, shift=shift)
        return branch_layer(net, (0, 1, 0), merge="concat")


def fitted(Model=GrowingMLPClassifier, **parameters):
    plan = {"max_iter": 9, "max_neurons": 40, "random_state": 0, **parameters}
    y = Y if Model is GrowingMLPClassifier else X[:, 0] * X[:, 1]
    return Model((6, 4), how=Branched(), **plan).fit(X, y)


def test_a_model_with_branches_trains_grows_and_is_the_same_again():
    model = fitted()
    assert model.hidden_layer_sizes_[0] == 6  # what the block gives
    assert model.hidden_layer_sizes_[1] > 4
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    assert all(record["max_change"] < 1e-6 for record in model.growth_history_)
    np.testing.assert_array_equal(fitted().predict_proba(X), model.predict_proba(X))
    parts = parts_of(model._state.network.layers[:-1])
    n_units = sum(part.n_out for part in parts if isinstance(part, Layer))
    assert n_units == 3 * 6 + model.hidden_layer_sizes_[1]


def test_budgets_count_units_in_branches():
    """18 and 4 are there, and 1 more is allowed."""
    model = fitted(max_neurons=23, growth_rate=1.0)
    assert model.hidden_layer_sizes_ == (6, 5)
    assert fitted(max_neurons=22).hidden_layer_sizes_ == (6, 4)


@pytest.mark.parametrize("Model", [GrowingMLPClassifier, GrowingMLPRegressor])
def test_a_model_with_branches_is_saved_and_trained_further(Model, tmp_path):
    model = fitted(Model).set_params(how="gradmax")
    skgrow.save(model, tmp_path / "a")
    again = skgrow.load(tmp_path / "a")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    y = model.predict(X)
    for one in (model, again):
        one.set_params(where=1, max_neurons=None).grow(X, y, n_neurons=2)
        one.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert again.n_parameters_ == model.n_parameters_


def test_a_place_in_a_parallel_block_is_told_and_the_model_stays():
    model = fitted().set_params(where=0, max_neurons=None)
    before = model.predict_proba(X)
    for how in [word for word, policy in HOW.items() if policy.axis == "width"]:
        with pytest.raises(ValueError, match="layer 0 cannot get units"):
            model.set_params(how=how).grow(X, Y, n_neurons=2)
    np.testing.assert_array_equal(model.predict_proba(X), before)
