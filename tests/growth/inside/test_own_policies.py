"""Policies that a user writes: what they must have, and what they must return."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.datasets import load_digits

import skgrow
from skgrow import GrowingMLPClassifier
from skgrow.growth.inside.how import HOW
from skgrow.growth.inside.when import WHEN
from skgrow.growth.inside.where import WHERE, At
from skgrow.networks.perceptron import Perceptron
from skgrow.policies import (
    AutoGrow,
    Begins,
    GradMax,
    How,
    NeST,
    Periodic,
    RandomStart,
    Shrinks,
    Sizes,
    Steps,
    Top,
    When,
    Where,
    add_units,
)

X, Y = (part[:300] for part in load_digits(return_X_y=True))


class ZeroOutgoing(BaseEstimator):
    """Units with outgoing weights of 0, on nothing but what is public."""

    axis = "width"

    def __init__(self, scale=1.0):
        self.scale = scale

    def start(self, net, i, n_new, probe):
        n_in, n_out = net.layers[i].n_in, net.layers[i + 1].n_out
        fan_in = self.scale * probe.random_state.normal(size=(n_new, n_in))
        return add_units(net, i, fan_in, np.zeros(n_new), np.zeros((n_out, n_new)))


class HalfInactive(ZeroOutgoing):
    """The first half of the units is inactive on every row."""

    def start(self, net, i, n_new, probe):
        bias = np.where(np.arange(n_new) < n_new / 2, -1.0, 1.0)
        fan_in = np.zeros((n_new, net.layers[i].n_in))
        fan_out = np.zeros((net.layers[i + 1].n_out, n_new))
        return add_units(net, i, fan_in, bias, fan_out)


class Narrowest(BaseEstimator):
    axis = "width"

    def choose(self, net, n_new, probe):
        return {net.widths.index(min(net.widths)): n_new}


class AtPasses(BaseEstimator):
    def __init__(self, passes=(2, 4)):
        self.passes = passes

    def due(self, losses, events):
        return len(losses) in self.passes


class Plain:
    """No BaseEstimator, and every optional method."""

    axis, n_steps, n_retrain, tol = "width", 7, 1, 100.0

    def __init__(self):
        self.calls = []

    def begin(self, net, random_state):
        self.calls.append("begin")
        return net

    def start(self, net, i, n_new, probe):
        self.calls.append(f"start {n_new}")
        return RandomStart().start(net, i, n_new, probe)

    def growth_size(self, net):
        return 3

    def smaller(self, net):
        self.calls.append("smaller")
        return NeST(prune=0.5).smaller(net) if self.calls.count("smaller") < 3 else None


def mlp(**parameters):
    settings = {"max_neurons": 40, "max_iter": 6, "random_state": 0, **parameters}
    return GrowingMLPClassifier((6, 4), **settings)


@pytest.mark.parametrize(
    ("words", "protocol"), [(HOW, How), (WHERE, Where), (WHEN, When)], ids=str
)
def test_all_of_ours_have_what_the_protocols_ask(words, protocol):
    assert all(isinstance(policy(), protocol) for policy in words.values())
    assert isinstance(At(0), Where)


@pytest.mark.parametrize(
    ("protocol", "wanted"),
    [
        (Begins, {"nest"}),
        (Shrinks, {"nest", "morphism"}),
        (Sizes, {"stacking"}),
        (Steps, {"firefly", "swe", "autogrow"}),
    ],
)
def test_what_ours_have_besides(protocol, wanted):
    assert {word for word, how in HOW.items() if isinstance(how(), protocol)} == wanted


def test_policies_of_a_users_own_grow_a_network_and_are_cloned():
    grown = mlp(how=ZeroOutgoing(0.5), where=Narrowest(), when=AtPasses((2, 4)))
    grown = clone(grown).set_params(how__scale=0.25).fit(X, Y)
    assert grown.how.scale == 0.25
    assert grown.hidden_layer_sizes_ == (
        9,
        6,
    )  # 2 more in the second, then 3 in the first
    first, second = grown.growth_history_
    assert (first["how"], first["where"], first["epoch"]) == (
        "ZeroOutgoing",
        "Narrowest",
        2,
    )
    assert (first["places"], second["places"]) == ({1: 2}, {0: 3})
    assert max(first["max_change"], second["max_change"]) < 1e-12
    again = clone(grown).fit(X, Y)
    np.testing.assert_array_equal(again.predict_proba(X), grown.predict_proba(X))


def test_a_file_holds_no_class_of_a_users_own(tmp_path):
    grown, path = mlp(how=ZeroOutgoing()).fit(X, Y), tmp_path / "model.safetensors"
    with pytest.raises(
        TypeError, match=r"cannot hold a ZeroOutgoing \('ZeroOutgoing\(\)'\).*classes of"
    ):
        skgrow.save(grown, path)
    assert not list(tmp_path.iterdir())
    before = grown.predict_proba(X)
    skgrow.save(grown.set_params(how="gradmax"), path)
    np.testing.assert_array_equal(skgrow.load(path).predict_proba(X), before)


def test_all_methods_of_an_object_without_a_base_class_are_called():
    how = Plain()
    grown = mlp(how=how, where=0, when=AtPasses((2, 3))).fit(X, Y)
    assert how.calls == ["begin", "start 3", "start 3", *["smaller"] * 3]
    grows, smaller = grown.growth_history_[:2], grown.growth_history_[2:]
    assert [record["n_new"] for record in grows] == [3, 3]
    plain = mlp(how="random", where=0, when=AtPasses((2, 3))).fit(X, Y)
    assert all(record["n_multiply_adds"] > 0 for record in grows)
    assert not any(record["n_multiply_adds"] for record in plain.growth_history_)
    assert len(smaller) == 2
    assert grown.n_iter_ == 6 + 2  # a pass after each smaller network


class NoAxis(BaseEstimator):
    def start(self, net, i, n_new, probe):
        return net


class SmallerOnly(ZeroOutgoing):
    def smaller(self, net):
        return None


class Upwards(ZeroOutgoing):
    axis = "height"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"how": AtPasses()},
            r"'how' parameter is AtPasses\(\), which lacks axis and start",
        ),
        ({"how": NoAxis()}, r"lacks axis; skgrow\.policies\.How says"),
        ({"how": SmallerOnly()}, r"lacks n_retrain and tol; skgrow\.policies\.Shrinks"),
        ({"how": Upwards()}, r"axis is 'height'; it must be one of \('width', 'depth'\)"),
        (
            {"how": GradMax},
            r"is the class GradMax; pass an object of it, how=GradMax\(\)",
        ),
        ({"how": None}, r"'how' parameter is None, which lacks axis and start\(\)"),
        ({"how": "largest"}, r"'largest'; it must be one of \['autogrow', "),
        (
            {"where": ZeroOutgoing()},
            r"'where' parameter is ZeroOutgoing\(\), which lacks choose\(\)",
        ),
        ({"where": "most"}, r"'most'; it must be one of \['all', 'auto', "),
        ({"where": True}, r"'where' parameter is True, which lacks axis and choose"),
        ({"where": Top()}, "grows the width"),
        (
            {"when": ZeroOutgoing()},
            r"'when' parameter is ZeroOutgoing\(\), which lacks due\(\)",
        ),
        ({"when": "often"}, r"'often'; it must be one of \['never', "),
        ({"when": 3}, r"'when' parameter is 3, which lacks due\(\)"),
        ({"when": Periodic(every=0)}, "'every' parameter of Periodic"),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "grow"])
def test_what_is_no_policy_is_reported_before_any_training(parameters, message, verb):
    model = mlp(max_iter=1).fit(X, Y)
    before = model.predict_proba(X)
    more = {"n_neurons": 1} if verb == "grow" else {}
    with pytest.raises(ValueError, match=message):
        getattr(model.set_params(**parameters), verb)(X, Y, **more)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert model.growth_history_ == []


class Wrong(ZeroOutgoing):
    """A `how` whose `start` goes through `change`."""

    def __init__(self, change=None, axis="width"):
        self.change = change
        self.axis = axis

    def start(self, net, i, n_new, probe):
        how = RandomStart() if self.axis == "width" else AutoGrow("zero")
        return self.change(how.start(net, i, n_new, probe))


class Places(Narrowest):
    def __init__(self, places=None):
        self.places = places

    def choose(self, net, n_new, probe):
        return self.places


def in_float32(net):
    layers = (
        replace(ly, weight=ly.weight.astype("f4"), bias=ly.bias.astype("f4"))
        for ly in net.layers
    )
    return Perceptron(tuple(layers))


def one_output_less(net):
    last = net.layers[-1]
    return Perceptron((*net.layers[:-1], replace(last, weight=last.weight[:, 1:])))


def one_unit_more(net):
    out = np.zeros((net.layers[1].n_out, 1))
    return add_units(net, 0, np.zeros((1, net.layers[0].n_in)), np.zeros(1), out)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"how": Wrong(lambda net: None)},
            r"Wrong\.start returned None, and must return",
        ),
        ({"how": Wrong(lambda net: net.layers)}, r"Wrong\.start returned \(Layer"),
        ({"how": Wrong(in_float32)}, r"does not fit.*dtype \(float32, not float64\)"),
        ({"how": Wrong(one_output_less)}, r"does not fit to the one before: layers"),
        ({"how": Wrong(one_unit_more)}, r"must add 2 units to layer 0: .*\(9, 4\)"),
        (
            {"where": Places(None)},
            r"Places\.choose returned None, and must return a dict",
        ),
        ({"where": Places({0: 1})}, r"returned {0: 1}.* that sum to 2"),
        ({"where": Places({0: 3, 1: -1})}, r"returned {0: 3, 1: -1}"),
        ({"where": Places({0.5: 2})}, r"returned {0\.5: 2}"),
        ({"where": Places({7: 2})}, "layer 7 does not exist"),
    ],
)
def test_what_no_policy_may_return_leaves_the_model_as_it_was(parameters, message):
    model = mlp(max_iter=1).fit(X, Y)
    before = model.predict_proba(X)
    model.set_params(**{"how": ZeroOutgoing(), "where": 0, **parameters})
    with pytest.raises((TypeError, ValueError), match=message):
        model.grow(X, Y, n_neurons=2)
    np.testing.assert_array_equal(model.predict_proba(X), before)
    assert model.hidden_layer_sizes_ == (6, 4)


def test_layers_that_were_not_asked_for_are_reported():
    twice = Wrong(lambda net: net.with_layers(2, 0, net.layers[2]), axis="depth")
    model = mlp(max_iter=1).fit(X, Y).set_params(how=twice, where=1)
    with pytest.raises(ValueError, match=r"must add 1 layers above layer 1: .*\(6, 4\)"):
        model.grow(X, Y, n_layers=1)


def test_a_network_that_never_gets_smaller_is_reported():
    """Its loss stays, so that it would be made again without end."""

    class Same(Plain):
        def smaller(self, net):
            return net

    with pytest.raises(ValueError, match=r"Same\.smaller returned a network of .* fewer"):
        mlp(how=Same(), where=0, max_iter=1).fit(X, Y)


def test_a_place_without_units_is_left_out():
    grown = mlp(how=ZeroOutgoing(), where=Places({0: 2, 1: 0}), when="never").fit(X, Y)
    assert grown.grow(X, Y, n_neurons=2).growth_history_[-1]["places"] == {0: 2}


def test_the_history_has_the_share_of_new_units_that_are_inactive():
    grown = mlp(how=HalfInactive(), where=Narrowest(), when=AtPasses((2, 4))).fit(X, Y)
    n_new = [record["n_new"] for record in grown.growth_history_]
    expected = [-(-n // 2) / n for n in n_new]
    assert len(expected) == 2
    assert [record["inactive"] for record in grown.growth_history_] == expected
