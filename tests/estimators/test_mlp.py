"""Dense networks that grow while they train, as scikit-learn's users meet them."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

import skgrow
from skgrow import (
    GrowingMLPClassifier,
    GrowingMLPRegressor,
    GrowthStoppedWarning,
    ModelFileError,
    ModelVersionWarning,
)
from skgrow.estimators import dense_steps
from skgrow.files.persistence import digest, write
from skgrow.inputs.labelled_rows import labelled_rows
from skgrow.networks.perceptron import Perceptron
from skgrow.policies import (
    AutoGrow,
    Firefly,
    GradMax,
    NeST,
    Never,
    Periodic,
    Plateau,
    SVoD,
    ZeroPad,
)

X, Y = load_digits(return_X_y=True)
SMALL = {"hidden_layer_sizes": (6,), "max_neurons": 24, "max_iter": 9, "random_state": 0}
WIDTH = ["random", "zero", "net2wider", "gradmax", "firefly", "swe", "nest"]
DEPTH = ["net2deeper", "morphism", "autogrow"]
SETTINGS = [
    {},
    {"how": Firefly(n_steps=5), "where": "svod", "when": Periodic(every=5)},
    {"how": "autogrow", "when": Plateau(patience=1)},
]
FEW = {"max_iter": 12, "learning_rate_init": 0.03, "batch_size": 32}


def digits_mlp(**parameters):
    return GrowingMLPClassifier(**{**SMALL, **parameters})


@pytest.fixture(scope="module")
def ungrown():
    """A fitted network of 6 units; not to be changed."""
    return digits_mlp(when="never").fit(X, Y)


# random_state=None draws from numpy's global state, as everywhere in scikit-learn.
@pytest.mark.slow
@pytest.mark.changes_global_state
@parametrize_with_checks(
    [GrowingMLPClassifier(**FEW, **s) for s in SETTINGS]
    + [GrowingMLPRegressor(**FEW, **s) for s in SETTINGS]
)
def test_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("how", WIDTH + DEPTH)
def test_it_grows_while_it_trains(how):
    mlp = digits_mlp(how=how, max_layers=3).fit(X, Y)
    sizes = mlp.hidden_layer_sizes_
    assert (len(sizes) == 3) if how in DEPTH else (sum(sizes) > 6)
    record = mlp.growth_history_[0]
    assert record["n_parameters"] > record["n_parameters_before"]
    assert record["epoch"] == 3
    assert mlp.n_parameters_ == mlp._state.network.n_parameters


@pytest.mark.parametrize("where", ["all", "gain", "svod", 0, 1])
def test_where(where):
    sizes = (6, 6)
    mlp = digits_mlp(hidden_layer_sizes=sizes, where=where, max_iter=4).fit(X, Y)
    grown = [n - 6 for n in mlp.hidden_layer_sizes_]
    assert sum(grown) == 3
    if isinstance(where, int):
        assert grown[where] == 3


def test_stacking_doubles_what_is_there():
    mlp = digits_mlp(
        hidden_layer_sizes=(12, 12, 12), how="stacking", early_stopping=False,
        when=Periodic(every=4),
    )  # fmt: skip
    assert mlp.fit(X, Y).hidden_layer_sizes_ == (12,) * 5


def test_growth_by_hand_keeps_the_outputs(ungrown):
    mlp = copy.deepcopy(ungrown)
    before = mlp.predict_proba(X)
    mlp.grow(X, Y, n_neurons=5)
    assert mlp.hidden_layer_sizes_ == (11,)
    np.testing.assert_allclose(mlp.predict_proba(X), before, atol=1e-12)
    record = mlp.growth_history_[-1]
    assert record["max_change"] < 1e-12
    assert record["places"] == {0: 5}
    mlp.set_params(how="morphism").grow(X, Y, n_layers=1)
    np.testing.assert_allclose(mlp.predict_proba(X), before, atol=1e-9)
    assert mlp.grow(X, Y, n_layers=0).hidden_layer_sizes_ == (11, 11)


def test_the_prediction_of_a_change_is_right_to_first_order():
    mlp = digits_mlp(when="never", how=ZeroPad("near_zero"), max_iter=1).fit(X, Y)
    record = mlp.grow(X, Y, n_neurons=8).growth_history_[-1]
    happened = record["loss"] - record["loss_before"]
    assert record["predicted_change"] == pytest.approx(happened, rel=0.05)


def test_training_goes_on_as_if_nothing_had_grown():
    """New units without connections: Adam keeps the moments of all others."""
    plain = digits_mlp(when="never", max_iter=4, batch_size=2000).fit(X, Y)
    grown = clone(plain).fit(X, Y).set_params(how=ZeroPad())
    grown.grow(X, Y, n_neurons=3)
    for mlp in (plain, grown):
        mlp.partial_fit(X, Y)
    # One full-batch step: readers of new units move, but add nothing at once to these.
    old, new = (
        plain._state.network.layers[0].weight,
        grown._state.network.layers[0].weight,
    )
    np.testing.assert_allclose(new[:, :6], old, atol=1e-12)


@pytest.mark.parametrize(
    ("budget", "reached"),
    [
        ({"max_neurons": 10}, lambda m: sum(m.hidden_layer_sizes_) == 10),
        ({"max_parameters": 700}, lambda m: 600 < m.n_parameters_ <= 700),
        ({"how": "autogrow", "max_layers": 2}, lambda m: len(m.hidden_layer_sizes_) == 2),
        ({"max_time": 1e-6}, lambda m: m.n_iter_ == 1),
        ({"max_time": 1e-6, "how": "nest"}, lambda m: m.n_iter_ == 1),
        ({"when": Never()}, lambda m: m.hidden_layer_sizes_ == (6,)),
    ],
)
@pytest.mark.filterwarnings("ignore:max_time:skgrow.GrowthStoppedWarning")
def test_budgets(budget, reached):
    assert reached(digits_mlp(**budget).fit(X, Y))


@pytest.mark.parametrize(
    ("how", "left_out"), [("gradmax", ""), ("nest", ", smaller networks")]
)
def test_time_that_has_passed_is_reported(how, left_out):
    mlp = digits_mlp(how=how, max_time=1e-6, max_iter=5)
    with pytest.warns(GrowthStoppedWarning, match=f"4 of 5 passes{left_out}\\.$"):
        mlp.fit(X, Y)
    digits_mlp(how=how, max_time=1e6, max_iter=2).fit(X, Y)  # without a warning


@pytest.mark.parametrize("class_weight", [{0: 1, 1: 1, 2: 5.0}, "balanced", {0: 0}])
def test_weights_of_classes_are_weights_of_their_rows(class_weight):
    X, y = digits_of_three()
    rows = np.random.RandomState(0).uniform(0.5, 2, len(y))
    weight = rows * compute_sample_weight(class_weight, y)
    settings = {"max_iter": 4, "random_state": 0}
    mlp = GrowingMLPClassifier((4,), class_weight=class_weight, **settings)
    plain = GrowingMLPClassifier((4,), **settings)
    same_numbers(mlp.fit(X, y, rows), plain.fit(X, y, weight))
    mlp.grow(X, y, n_neurons=2, sample_weight=rows)
    plain.grow(X, y, n_neurons=2, sample_weight=weight)
    same_numbers(mlp, plain)
    if class_weight == "balanced":
        with pytest.raises(ValueError, match="cannot be used with partial_fit"):
            mlp.partial_fit(X, y)
        return
    same_numbers(mlp.partial_fit(X, y), plain.partial_fit(X, y, None, weight / rows))


def digits_of_three():
    rows = np.flatnonzero(Y < 3)
    rows = np.concatenate([rows[Y[rows] < 2], rows[Y[rows] == 2][:9]])  # few of one
    return X[rows], Y[rows]


def same_numbers(first, second):
    assert digest(first._state.network) == digest(second._state.network)


def test_class_weight_is_checked():
    with pytest.raises(ValueError, match=r"class_weight\[1\] is -1"):
        digits_mlp(class_weight={1: -1}).fit(X, Y)
    with pytest.raises(ValueError, match="class_weight"):
        digits_mlp(class_weight="even").fit(X, Y)


def test_depth_stops_by_itself():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(1500, 5)), rng.randint(2, size=1500)
    mlp = GrowingMLPClassifier(
        (8,), how=AutoGrow(), when=Plateau(patience=1), max_layers=50, max_iter=200,
        n_iter_no_change=5, random_state=0,
    )  # fmt: skip
    mlp.fit(X, y)
    assert len(mlp.hidden_layer_sizes_) < 20
    assert mlp.n_iter_ < 100


def test_the_best_network_is_kept():
    X, y = load_diabetes(return_X_y=True)
    mlp = GrowingMLPRegressor(
        (8,), early_stopping=True, max_iter=120, learning_rate_init=0.02, random_state=0
    ).fit(X, y)
    best = np.argmin(mlp.validation_curve_)
    assert best < len(mlp.validation_curve_) - 1
    state = mlp._state
    rows = state.inputs.scaled(labelled_rows(state.target, X, y))
    _, held_out = dense_steps.training_rows(mlp, state, rows)
    kept = dense_steps.mean_loss(state.network, held_out)
    assert kept == pytest.approx(min(mlp.validation_curve_), abs=mlp.tol)


@pytest.mark.parametrize("how", ["gradmax", "nest"])
def test_an_interrupted_fit_keeps_the_passes_that_are_done(monkeypatch, how):
    n_calls = 0

    def interrupted(*args, **options):
        nonlocal n_calls
        n_calls += 1
        if n_calls == n_last:
            raise KeyboardInterrupt
        return train_pass(*args, **options)

    train_pass = dense_steps.train_pass
    mlp, n_last = digits_mlp(how=how), 0
    before = mlp.fit(X, Y).predict_proba(X)
    monkeypatch.setattr(dense_steps, "train_pass", interrupted)
    n_calls, n_last = 0, 1
    with pytest.raises(KeyboardInterrupt):
        mlp.fit(X, Y)
    np.testing.assert_array_equal(mlp.predict_proba(X), before)
    n_calls, n_last = 0, (5 if how == "gradmax" else 12)  # NeST prunes after 9 passes
    with pytest.warns(GrowthStoppedWarning, match="was interrupted after"):
        mlp.fit(X, Y)
    assert mlp.n_iter_ == n_last - 1
    assert mlp.score(X, Y) > 0.2


def test_grid_search_reaches_the_policies():
    grid = {"how__scale": [0.1, 1.0], "when__every": [1, 4]}
    mlp = digits_mlp(how=GradMax(), when=Periodic())
    search = GridSearchCV(mlp, grid, cv=2).fit(X[:400], Y[:400])
    events = [len(m.growth_history_) for m in (clone(mlp).fit(X, Y),)]
    assert search.best_estimator_.how.scale in (0.1, 1.0)
    assert events == [2]


def test_warm_start_goes_on():
    mlp = digits_mlp(warm_start=True).fit(X, Y)
    n_iter, size = mlp.n_iter_, mlp.hidden_layer_sizes_[0]
    mlp.fit(X, Y)
    assert mlp.n_iter_ > n_iter
    assert mlp.hidden_layer_sizes_[0] > size


def test_partial_fit_trains_and_does_not_grow():
    mlp = digits_mlp()
    for part in np.array_split(np.arange(len(X)), 6):
        mlp.partial_fit(X[part], Y[part], classes=np.arange(10))
    assert mlp.hidden_layer_sizes_ == (6,)
    for _ in range(30):
        mlp.partial_fit(X, Y)
    assert mlp.score(X, Y) > 0.8


def test_weight_two_is_the_row_twice():
    weight = np.where(Y < 5, 2.0, 1.0)
    twice = np.concatenate([np.arange(len(Y)), np.flatnonzero(Y < 5)])
    one = digits_mlp(when="never", batch_size=4000, early_stopping=False)
    two = clone(one).fit(X[twice], Y[twice])
    one.fit(X, Y, weight)
    # The map of the inputs takes weighted quantiles of other rows: not to the bit.
    assert np.abs(one.predict_proba(X) - two.predict_proba(X)).max() < 0.02


def test_nest_ends_smaller_at_the_same_loss():
    large = digits_mlp(
        hidden_layer_sizes=(24,), when="never", max_iter=60, early_stopping=True
    ).fit(X, Y)
    nest = digits_mlp(how="nest", max_iter=60, early_stopping=True).fit(X, Y)
    assert nest.n_parameters_ < 0.6 * large.n_parameters_
    pruned = [record for record in nest.growth_history_ if not record["where"]]
    kept = nest.validation_curve_[pruned[-1]["epoch"] - 1]
    assert kept <= min(nest.validation_curve_[: pruned[-1]["epoch"]]) + 0.01
    assert kept <= min(large.validation_curve_) + 0.01
    assert len(pruned) > 2
    for record in pruned:
        assert record["n_parameters"] < record["n_parameters_before"]
        assert record["n_new"] <= 0
    assert nest.n_parameters_ == pruned[-1]["n_parameters"]


def test_a_morphism_that_did_not_bend_is_undone():
    mlp = digits_mlp(
        hidden_layer_sizes=(12,), how="morphism", when=Periodic(2), max_iter=5,
        early_stopping=False, learning_rate_init=1e-4,
    ).fit(X, Y)  # fmt: skip
    assert [r["n_new"] for r in mlp.growth_history_] == [1, 1, -1, -1]
    assert mlp.hidden_layer_sizes_ == (12,)


@pytest.mark.parametrize("how", ["gradmax", "autogrow", "nest", GradMax(scale=0.25)])
def test_files(tmp_path, how):
    mlp = digits_mlp(how=how, when=Periodic(every=3), where="auto").fit(X, Y)
    skgrow.save(mlp, tmp_path / "mlp")
    again = skgrow.load(tmp_path / "mlp")
    np.testing.assert_array_equal(again.predict_proba(X), mlp.predict_proba(X))
    for model in (mlp, again):
        model.partial_fit(X, Y)
    np.testing.assert_array_equal(again.predict_proba(X), mlp.predict_proba(X))
    assert repr(again) == repr(mlp)


@pytest.mark.parametrize(
    "forge",
    [
        lambda ly: {"weight": ly.weight[:2]},
        lambda ly: {"bias": ly.bias[:, 1:]},
        lambda ly: {"gate": ly.bias},
        lambda ly: {"slope": ly.bias[:, 0]},
        lambda ly: {"weight": ly.weight.astype(int)},
        lambda ly: {"mask": ly.weight[0] > 0, "bias": ly.bias[:, 1:]},
        lambda ly: {"mask": ly.weight[0, 1:] > 0},
        lambda ly: {"mask": ly.weight[0]},
    ],
)
def test_forged_layers_are_not_loaded(ungrown, tmp_path, forge):
    mlp = copy.deepcopy(ungrown)
    first, *others = mlp._state.network.layers
    mlp._state = replace(
        mlp._state, network=Perceptron((replace(first, **forge(first)), *others))
    )
    with pytest.raises(ValueError, match="cannot be saved"):
        skgrow.save(mlp, tmp_path / "mlp")
    write([mlp], tmp_path / "mlp")
    with pytest.raises(ModelFileError):
        skgrow.load(tmp_path / "mlp")


def test_a_regressor_without_its_scale_is_not_loaded(tmp_path):
    mlp = GrowingMLPRegressor((4,), max_iter=2, random_state=0).fit(X, Y)
    whole = mlp._state
    for scale in (None, -1.0, "1"):
        mlp._state = replace(whole, target=replace(whole.target, scale=scale))
        write([mlp], tmp_path / "mlp")
        with pytest.raises(ModelFileError):
            skgrow.load(tmp_path / "mlp")


def test_a_pickle_of_another_version_says_so(ungrown):
    written = ungrown.__getstate__()
    with pytest.warns(ModelVersionWarning, match="GrowingMLPClassifier was written"):
        digits_mlp().__setstate__({**written, "_skgrow_version": "0.0.1"})


def test_a_frame_as_it_is():
    pd = pytest.importorskip("pandas", exc_type=ImportError)
    rng = np.random.RandomState(0)
    colour = rng.choice(["red", "green", "blue"], size=600)
    size = np.where(rng.rand(600) < 0.1, np.nan, rng.normal(size=600))
    y = (colour == "green") ^ (np.nan_to_num(size, nan=3.0) > 0)
    frame = pd.DataFrame({"colour": colour, "size": size})
    mlp = GrowingMLPClassifier(max_iter=100, random_state=0).fit(frame, y)
    assert mlp.score(frame, y) > 0.95
    assert list(mlp.feature_names_in_) == ["colour", "size"]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"how": "autogrow", "where": "svod"}, "grows the depth"),
        ({"how": "gradmax", "where": "top"}, "grows the width"),
        ({"where": 3}, "layer 3 does not exist"),
        ({"how": "largest"}, "The 'how' parameter"),
        ({"how": ZeroPad("all_zero")}, "zero gradients for ever"),
        ({"how": NeST(density=0)}, "'density' parameter of NeST must be a float"),
        ({"how": GradMax(scale="large")}, "'scale' parameter of GradMax"),
        ({"when": Periodic(every=0)}, "'every' parameter of Periodic must be an int"),
        ({"where": SVoD(n_steps=-1)}, "'n_steps' parameter of SVoD"),
        ({"hidden_layer_sizes": ()}, "hidden_layer_sizes"),
        ({"growth_rate": 0}, "growth_rate"),
        ({"device": "toaster"}, "cannot be used here"),
    ],
)
def test_wrong_parameters(ungrown, parameters, message):
    mlp = copy.deepcopy(ungrown).set_params(when="periodic")
    before = mlp.predict_proba(X)
    with pytest.raises(ValueError, match=message):
        mlp.set_params(**parameters).fit(X, Y)
    mlp.set_params(device="cpu")
    np.testing.assert_array_equal(mlp.predict_proba(X), before)


@pytest.mark.parametrize(
    ("parameters", "asked", "message"),
    [
        ({}, {"n_layers": 1}, "pass n_neurons"),
        ({"how": "autogrow"}, {"n_neurons": 4}, "pass n_layers"),
        ({}, {}, "n_neurons must be a whole number"),
        ({}, {"n_neurons": -1}, "got -1"),
        ({}, {"n_neurons": 50}, "beyond max_neurons=24"),
        ({"how": "autogrow", "max_layers": 1}, {"n_layers": 1}, "beyond max_layers=1"),
        ({"max_parameters": 800}, {"n_neurons": 10}, "more than max_parameters=800"),
        ({"where": 7}, {"n_neurons": 4}, "layer 7 does not exist"),
    ],
)
def test_wrong_growth_by_hand(ungrown, parameters, asked, message):
    mlp = copy.deepcopy(ungrown)
    with pytest.raises(ValueError, match=message):
        mlp.set_params(**parameters).grow(X, Y, **asked)
    assert mlp.hidden_layer_sizes_ == (6,)


def test_what_is_asked_too_early_is_reported():
    with pytest.raises(AttributeError, match="call fit first"):
        _ = digits_mlp().n_parameters_
    with pytest.raises(ValueError, match="got 1 class: 0"):
        digits_mlp().fit(X, np.zeros(len(X)))
    with pytest.raises(ValueError, match="all are of class 3"):
        digits_mlp(early_stopping=True).fit(X, Y, sample_weight=(Y == 3).astype(float))


def test_progress_is_printed(capsys):
    digits_mlp(verbose=1, max_iter=3).fit(X, Y)
    printed = capsys.readouterr().out
    assert printed.startswith("[skgrow] pass 1/3: loss ")
    assert "hidden layers (6,)" in printed


def test_the_order_of_an_array_in_memory_changes_no_bit():
    X = np.random.RandomState(0).randn(40, 5)
    mlp = GrowingMLPClassifier((9,), max_iter=1, random_state=0).fit(X, X[:, 0] > 0)
    for n in range(1, 10):
        turned = mlp.decision_function(np.asfortranarray(X[:n]))
        np.testing.assert_array_equal(turned, mlp.decision_function(X[:n]))


def test_seeds_repeat_the_model():
    one, two = (digits_mlp(how="swe").fit(X, Y) for _ in range(2))
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = digits_mlp(how="swe", random_state=1).fit(X, Y)
    assert (one.predict_proba(X) != other.predict_proba(X)).any()


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("learning_rate", [10, 1e4, 1e30])
def test_training_that_diverges_is_reported_and_taken_back(learning_rate, early_stopping):
    rng = np.random.RandomState(0)
    X = rng.randn(300, 4)
    mlp = GrowingMLPRegressor(
        learning_rate_init=learning_rate, early_stopping=early_stopping, max_iter=20,
        random_state=0,
    )  # fmt: skip
    match = r"training diverged.*network of before was kept\. Lower learning_rate_init"
    with pytest.warns(ConvergenceWarning, match=match):
        mlp.fit(X, X[:, 0])
    assert mlp.score(X, X[:, 0]) > -0.2  # a network that is not trained
    sound = clone(mlp).set_params(learning_rate_init=0.01).fit(X, X[:, 0])
    before = sound.predict(X)
    sound.set_params(learning_rate_init=learning_rate, warm_start=True)
    with pytest.warns(ConvergenceWarning, match=match):
        sound.fit(X, X[:, 0])
    np.testing.assert_array_equal(sound.predict(X), before)


@pytest.mark.parametrize("estimator", [GrowingMLPClassifier, GrowingMLPRegressor])
def test_a_pass_that_diverges_is_reported_and_taken_back(estimator):
    X = np.random.RandomState(0).randn(300, 4)
    mlp = estimator(learning_rate_init=0.01, random_state=0).fit(X, X[:, 0] > 0)
    before = mlp.predict(X)
    mlp.set_params(learning_rate_init=1e6)
    with pytest.warns(ConvergenceWarning, match="training diverged"):
        mlp.partial_fit(X, X[:, 0] > 0)
    np.testing.assert_array_equal(mlp.predict(X), before)
