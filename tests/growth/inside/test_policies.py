"""The claim that defines each way to grow, on small networks in float64."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import make_classification

from skgrow.growth.inside import surgery
from skgrow.growth.inside.how import HOW
from skgrow.growth.inside.probe import Probe
from skgrow.growth.inside.surgery import add_units
from skgrow.growth.inside.when import Never, Periodic, Plateau
from skgrow.growth.inside.where import At, Everywhere, Gain, Stages, SVoD, Top
from skgrow.networks.perceptron import Perceptron
from skgrow.policies import (
    SWE,
    AutoGrow,
    Firefly,
    GradMax,
    Morphism,
    NeST,
    Net2Deeper,
    Net2Wider,
    RandomStart,
    Stacking,
    ZeroPad,
)
from skgrow.training.dense_training import Rows, mean_loss, train_pass

EXACT = {"rtol": 0, "atol": 1e-12}


def rows(n_classes=4, n=600, seed=0, shift=0.0):
    X, y = make_classification(
        n, 12, n_informative=8, n_classes=n_classes, random_state=seed, class_sep=1.5
    )
    X = (X - X.mean(axis=0)) / X.std(axis=0) + shift
    return Rows.of(X, y, np.ones(n), "cpu")


def trained(sizes=(12, 6, 6, 4), data=None, n_passes=10):
    import torch

    data = rows() if data is None else data
    net = Perceptron.random(sizes, np.random.RandomState(0), np.float64)
    for k in range(n_passes):
        generator = torch.Generator().manual_seed(k)
        net, _ = train_pass(net, data, generator, batch_size=64, learning_rate=5e-3)
    return net


def probe(data=None, seed=0):
    return Probe(rows() if data is None else data, np.random.RandomState(seed))


def inputs_gradient(net, i, units, look):
    """Norm of the gradient of the weights that units read."""
    x, g = look.signals(net)
    return np.linalg.norm(g[i][:, units].T @ x[i])


PRESERVING = [
    ZeroPad(), ZeroPad("in_zero"), Net2Wider(noise=0.0), GradMax(), Net2Deeper(),
    Morphism(), Morphism(width=11), AutoGrow("zero"), Stacking(gate="zero"),
]  # fmt: skip


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("how", PRESERVING, ids=repr)
def test_what_preserves_the_outputs_does(how, i):
    if isinstance(how, Stacking) and i == 0:
        pytest.skip("the first layer is not part of a stack")
    net, look = trained(), probe()
    grown = how.start(net, i, 3, look)
    np.testing.assert_allclose(look.outputs(grown), look.outputs(net), **EXACT)
    assert grown.n_parameters > net.n_parameters


@pytest.mark.parametrize("how", [h for h in HOW.values() if h.axis == "width"])
def test_every_new_unit_learns(how):
    """Nothing is dead on both sides, and no two units stay alike."""
    import torch

    net, look = trained(), probe()
    grown = how().start(net, 0, 3, look)
    assert grown.widths == (9, 6)
    after, _ = train_pass(
        grown, look.rows, torch.Generator().manual_seed(0), batch_size=64,
        learning_rate=1e-3,
    )  # fmt: skip
    reading = after.layers[1].weight[0][:, 6:]
    assert np.abs(reading).max(axis=0).min() > 0
    units = np.column_stack([after.layers[0].weight[0], after.layers[0].bias[0]])
    assert np.linalg.matrix_rank(units[6:], tol=1e-6) == 3


def test_all_zero_units_are_refused():
    with pytest.raises(ValueError, match="zero gradients for ever"):
        ZeroPad("all_zero").start(trained(), 0, 2, probe())


def test_gradmax_has_the_largest_gradient_of_all_starts_of_its_size():
    net, look = trained(), probe()
    grown = GradMax().start(net, 0, 3, look)
    new = slice(6, None)
    fan_out = grown.layers[1].weight[0][:, new]
    reached = inputs_gradient(grown, 0, new, look)
    sigma = np.linalg.svd(look.missing_gradient(net, 0), compute_uv=False)
    size = np.linalg.norm(fan_out[:, 0])
    np.testing.assert_allclose(reached, size * np.sqrt((sigma[:3] ** 2).sum()))
    rng = np.random.RandomState(0)
    for _ in range(200):
        # Any orthonormal directions of the same size; the inputs stay zero.
        other, _ = np.linalg.qr(rng.normal(size=(6, 3)))
        start = add_units(net, 0, np.zeros((3, 12)), np.zeros(3), size * other)
        assert inputs_gradient(start, 0, new, look) <= reached + 1e-12


def test_gradmax_beyond_the_rank_adds_units_that_differ():
    net, look = trained((12, 6, 2), rows(2)), probe(rows(2))
    grown = GradMax().start(net, 0, 4, look)  # two outputs that sum to 0: rank 1
    fan_out = grown.layers[1].weight[0][:, 6:]
    assert (np.abs(fan_out).max(axis=0) > 0).tolist() == [True, False, False, False]
    assert np.linalg.matrix_rank(grown.layers[0].weight[0][7:]) == 3


def test_net2net_starts_at_the_loss_of_the_small_network():
    net, look = trained(), probe()
    before = look.outputs(net)
    copied = look.outputs(Net2Wider(noise=0.01).start(net, 0, 4, look)) - before
    drawn = look.outputs(RandomStart().start(net, 0, 4, look)) - before
    assert np.abs(copied).max() < 0.2 * np.abs(drawn).max()


def sparse_net():
    return NeST().begin(trained(), np.random.RandomState(0))


def bending_net():
    return with_slope(Morphism().start(trained(), 0, 1, probe()), 0.5)


@pytest.mark.parametrize("start", [sparse_net, bending_net])
@pytest.mark.parametrize("how", [how for how in HOW.values() if how is not Stacking])
def test_each_way_grows_what_another_has_grown(start, how):
    import torch

    net, look = start(), probe()
    grown = surgery.connect_used(how().start(net, 1, 2, look))
    assert grown.is_sound()
    assert grown.n_parameters > net.n_parameters
    if how.preserving:
        np.testing.assert_allclose(look.outputs(grown), look.outputs(net), **EXACT)
    after, loss = train_pass(
        grown, look.rows, torch.Generator().manual_seed(0), batch_size=64,
        learning_rate=1e-3,
    )  # fmt: skip
    assert np.isfinite(loss)
    for layer in after.layers:
        assert not layer.weight[0][~layer.connections].any()


@pytest.mark.parametrize("i", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_fireflys_prediction_has_the_sign_of_what_happens(i, seed):
    net = trained(n_passes=3)
    firefly = Firefly()
    scores, _ = firefly.candidates(net, i, 3, probe(seed=seed))
    predicted = np.sort(scores)[:3].sum()
    look = probe(seed=seed)  # draws the same candidates again
    happened = look.loss(firefly.start(net, i, 3, look)) - look.loss(net)
    assert predicted < 0
    assert happened < 0


def test_swe_moves_units_that_no_row_wakes_up():
    """By the gradients of those they are tied to; the sum of all weights is kept."""
    data = rows(shift=4.0)
    net = trained(data=data)
    start = ZeroPad().start(net, 0, 60, probe(data))  # SWE draws the same units
    grown = SWE().start(net, 0, 60, probe(data))
    asleep = (probe(data).pre_activations(start)[0] < 0).all(axis=0)
    assert asleep[6:].sum() > 5
    before, after = (n.layers[0].weight[0] for n in (start, grown))
    assert np.abs(after - before)[asleep].max(axis=1).min() > 1e-3
    np.testing.assert_allclose(after.sum(axis=0), before.sum(axis=0), atol=1e-9)


def test_inactive_units_are_those_below_0_on_every_row():
    net, data = trained(), rows()
    layer = net.layers[0]
    bias = layer.bias.copy()
    bias[0, [1, 4, 5]] = -1e3
    net = net.with_layers(0, 1, replace(layer, bias=bias))
    sums = data.X.numpy() @ net.layers[0].weight[0].T + bias[0]  # (rows, units)
    dead = [all(z < 0 for z in column) for column in sums.T]
    assert dead == [False, True, False, False, True, True]
    assert probe().inactive(net, 0, slice(None)) == 3 / 6
    assert probe().inactive(net, 0, np.array([0, 1])) == 1 / 2
    assert probe().inactive(net, 0, np.array([2, 3])) == 0


@pytest.mark.parametrize("seed", range(3))
def test_swe_leaves_fewer_units_inactive_than_random_ones(seed):
    """On rows far from 0, where random hyperplanes often miss them all."""
    data = rows(shift=4.0, seed=seed)
    net = trained(data=data)
    inactive = [
        probe(data).inactive(how.start(net, 0, 60, probe(data)), 0, slice(6, None))
        for how in (RandomStart(), SWE(learning_rate=1e-2))
    ]
    assert inactive[0] > 0.2
    assert inactive[1] < inactive[0] / 2


def test_nest_starts_sparse_and_every_unit_has_connections_on_both_sides():
    net = trained()
    sparse = NeST(density=0.1).begin(net, np.random.RandomState(0))
    assert sparse.n_multiply_adds < 0.4 * net.n_multiply_adds
    for layer in sparse.layers:
        assert layer.mask.any(axis=0).all()
        assert layer.mask.any(axis=1).all()
        assert not layer.weight[0][~layer.mask].any()


def test_nest_connects_where_the_gradient_is_largest():
    sparse, look = NeST().begin(trained(), np.random.RandomState(0)), probe()
    grown = NeST().start(sparse, 0, 2, look)
    old, new = sparse.layers[0].mask, grown.layers[0].mask[:6]
    inputs, slopes = look.signals(sparse)
    gradient = np.abs(slopes[0].T @ inputs[0])
    assert (new & ~old).sum() == round(0.3 * (~old).sum())
    assert gradient[new & ~old].min() >= gradient[~new].max()
    assert not grown.layers[0].weight[0][:6][new & ~old].any()  # no output changes


@pytest.mark.parametrize("i", [0, 1])
def test_nests_new_units_lower_the_loss(i):
    """With the paper's sign turned round they would raise it."""
    net = trained(n_passes=3)
    happened = []
    for seed in range(10):
        look = probe(seed=seed)
        grown = NeST(birth_strength=0.05).start(net, i, 6, look)
        happened.append(look.loss(grown) - look.loss(net))
    assert np.mean(happened) < 0
    assert np.median(happened) < 0


def test_dormant_connections_stay_zero_in_training():
    import torch

    sparse = NeST().begin(trained(), np.random.RandomState(0))
    after, _ = train_pass(
        sparse, rows(), torch.Generator().manual_seed(0), batch_size=64,
        learning_rate=1e-2, alpha=0.1,
    )  # fmt: skip
    for before, layer in zip(sparse.layers, after.layers, strict=True):
        assert not layer.weight[:, ~layer.mask].any()
        np.testing.assert_array_equal(layer.mask, before.mask)
        assert (layer.weight[0] != before.weight[0])[layer.mask].mean() > 0.9


def cost_to_reach(target, net, data, doublings=()):
    """Multiply-adds for a row until the loss is below `target`."""
    import torch

    cost = 0
    for k in range(150):
        if k in doublings:
            net = Stacking().start(net, net.n_hidden - 1, net.n_hidden - 1, probe(data))
        generator = torch.Generator().manual_seed(k)
        net, _ = train_pass(net, data, generator, batch_size=64, learning_rate=5e-3)
        cost += net.n_multiply_adds
        if mean_loss(net, data) < target:
            break
    return cost


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_stacked_network_costs_less_than_a_deep_one_from_scratch(seed):
    data, draw = rows(seed=seed), np.random.RandomState
    deep = Perceptron.random((12, *9 * [12], 4), draw(seed), np.float64)
    start = Perceptron.random((12, 12, 12, 4), draw(seed), np.float64)
    from_scratch = cost_to_reach(0.3, deep, data)
    assert cost_to_reach(0.3, start, data, (4, 8, 12)) < 0.8 * from_scratch


def test_autogrows_trained_gate_brings_the_loss_back():
    net, look = trained(n_passes=40), probe()
    losses = [
        look.loss(AutoGrow(gate).start(net, 1, 1, probe()))
        for gate in ("gaussian", "adam")
    ]
    assert losses[0] > 1.1 * look.loss(net)
    assert losses[1] <= 1.006 * look.loss(net)


def test_stages_grow_in_turn():
    net, depths = trained((12, 8, 8, 6, 6, 4), n_passes=0), []
    for _ in range(3):
        [(i, n)] = Stages().choose(net, 1, probe()).items()
        net = AutoGrow().start(net, i, n, probe())
        depths.append(net.widths)
    assert depths == [(8, 8, 8, 6, 6), (8, 8, 8, 6, 6, 6), (8, 8, 8, 8, 6, 6, 6)]


def test_a_layer_that_stays_straight_is_taken_out_again():
    net, look = trained(), probe()
    deeper = Morphism().start(net, 0, 1, look)
    again = Morphism().smaller(deeper)
    assert again.widths == net.widths
    np.testing.assert_allclose(look.outputs(again), look.outputs(net), **EXACT)
    assert Morphism().smaller(again) is None  # the others are not linear
    assert Morphism().smaller(with_slope(deeper, 0.96)).widths == net.widths
    assert Morphism().smaller(with_slope(deeper, 0.94)) is None


def with_slope(net, slope):
    layer = net.layers[1]
    values = layer.slope.copy()
    values[0, 3] = slope
    return net.with_layers(1, 1, replace(layer, slope=values))


@pytest.mark.parametrize("where", [Everywhere(), Gain(), SVoD()], ids=repr)
@pytest.mark.parametrize("n_new", [1, 2, 7, 40])
def test_places_sum_to_what_was_asked(where, n_new):
    net = trained((12, 6, 9, 5, 4))
    places = where.choose(net, n_new, probe())
    assert sum(places.values()) == n_new
    assert set(places) <= {0, 1, 2}


def test_svod_votes_for_the_layer_that_holds_the_network_back():
    """A bottleneck of one unit: more units elsewhere lower the loss less."""
    import torch

    net = trained((12, 16, 1, 4), n_passes=30)
    votes = np.zeros(2)
    for seed in range(3):
        for i, n in SVoD().choose(net, 8, probe(seed=seed)).items():
            votes[i] += n
    gains = []
    for i in (0, 1):
        grown = RandomStart().start(net, i, 8, probe())
        for k in range(10):
            generator = torch.Generator().manual_seed(k)
            grown, _ = train_pass(
                grown, rows(), generator, batch_size=64, learning_rate=5e-3
            )
        gains.append(mean_loss(grown, rows()))
    assert votes.argmax() == np.argmin(gains)


def test_stacking_copies_the_upper_layers_in_their_order():
    net = trained((12, 5, 5, 5, 4))
    grown = Stacking().start(net, 2, 2, probe())
    assert grown.widths == (5,) * 5
    for copy, layer in zip(grown.layers[3:5], net.layers[1:3], strict=True):
        np.testing.assert_array_equal(copy.weight, layer.weight)
    with pytest.raises(ValueError, match="keep their width"):
        Stacking().start(trained((12, 6, 4)), 0, 1, probe())


def test_a_block_leaves_no_layer_to_widen():
    net = AutoGrow().start(trained((12, 6, 4)), 0, 1, probe())
    assert not any(surgery.can_widen(net, i) for i in range(2))
    with pytest.raises(ValueError, match="grow in depth"):
        Everywhere().choose(net, 3, probe())


def test_one_layer_can_be_named():
    net = trained()
    assert At(1).choose(net, 5, probe()) == {1: 5}
    assert Top().choose(net, 1, probe()) == {1: 1}
    with pytest.raises(ValueError, match="layer 2 does not exist"):
        At(2).choose(net, 5, probe())


@pytest.mark.parametrize("how", [AutoGrow(gate="loud"), Stacking(gate="loud")])
def test_unknown_words_are_refused(how):
    with pytest.raises(ValueError, match="'loud'"):
        how.start(trained(), 1, 1, probe())


def test_when():
    falling, flat = [5, 4, 3, 2, 1.0], [5, 4, 1, 1, 1, 1.0]
    assert not Plateau(patience=3).due(falling, [])
    assert Plateau(patience=3).due(flat, [])
    assert not Plateau(patience=3).due(flat, [5])  # it has just grown
    assert Periodic(every=3, n_events=2).due(falling[:3], [])
    assert not Periodic(every=3, n_events=2).due(falling[:4], [3])
    assert not Periodic(every=3, n_events=2).due(flat, [3, 5])
    assert not Never().due(flat, [])


def test_periodic_growth_ends_for_good():
    when = Periodic(every=1, n_events=99, patience=2)
    assert when.due([5, 4, 3.0], [1])
    assert not when.due([5, 4, 4, 4.0], [1])
    assert not when.due([5, 4, 4, 4, 1.0], [1])  # too late


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("how", HOW.values())
def test_new_parts_of_a_row_of_weight_two_and_of_the_row_twice_are_alike(how, n_classes):
    """The gradients of two outputs are equally large, and rounding must not choose."""
    n_different = 0
    for seed in range(8):
        data = rows(n_classes, n=80, seed=seed)
        repeated = np.concatenate([np.arange(80), np.arange(40)])
        weight = 1.0 + (np.arange(80) < 40)
        looks = [
            probe(Rows.of(data.X.numpy(), data.y.numpy(), weight, "cpu"), seed),
            probe(data.take(repeated), seed),
        ]
        net = trained((12, 5, 5, n_classes), data, n_passes=2)
        if how is NeST:
            net = NeST().begin(net, np.random.RandomState(0))
        one, two = (how().start(net, 1, 2, look) for look in looks)
        n_different += not all(
            np.allclose(a.weight[0], b.weight[0], atol=1e-9)
            for a, b in zip(one.layers, two.layers, strict=True)
        )
    assert n_different == 0
