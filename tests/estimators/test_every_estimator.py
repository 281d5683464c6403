"""One table: all five estimators by the verbs and parameters that they share.

What makes no sense for one of them is not in its row of the table, and a test says which
estimators have it: nothing is skipped but what the installed scikit-learn lacks.
"""

import copy
import pickle
from dataclasses import FrozenInstanceError
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import NotFittedError

import skgrow
from skgrow import (
    ElectionTransferClassifier,
    GrowingMLPClassifier,
    GrowingMLPRegressor,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
)
from skgrow.files.persistence import digest
from skgrow.runtime.progress import CallbackSupportMixin

# How much can be grown on so few rows is not what is asked here.
pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")

N_ROWS, NAMES = 400, ["north", "east", "south"]
X = np.random.RandomState(0).uniform(-1, 1, size=(N_ROWS, 3))
NUMBERS = X[:, 0] + 2 * X[:, 0] * X[:, 1] + 2 * X[:, 1] * X[:, 2]
LABELS = np.digitize(NUMBERS, [-0.4, 0.4])

BRANCHES = {"hidden_layer_sizes": (4, 4), "max_iter": 5, "n_replicas": 2,
            "batch_size": 128, "round_size": 2, "n_verified": 100,
            "search_regions": 6, "matching": "exhaustive"}  # fmt: skip
# The base sees one of the two products, and growth finds the other.
ONE_PAIR = {"regions": [[0, 1]], "grow_regions": "pairs", "curves": True}
DENSE = {"hidden_layer_sizes": (4,), "max_iter": 4, "batch_size": 100,
         "learning_rate_init": 0.03, "how": "firefly"}  # fmt: skip
VOTES = {"n_branches": 6, "round_size": 3, "n_verified": 100}
MODELS = {
    "nam": lambda: GrowingNAMClassifier(**BRANCHES, **ONE_PAIR),
    "nam of numbers": lambda: GrowingNAMRegressor(**BRANCHES, **ONE_PAIR),
    "vote": lambda: ElectionTransferClassifier(source(), **VOTES),
    "fitted vote": lambda: ElectionTransferClassifier(
        source(), votes="fitted", n_branches=12
    ),
    "mlp": lambda: GrowingMLPClassifier(**DENSE),
    "mlp of numbers": lambda: GrowingMLPRegressor(**DENSE),
}
EVERY = list(MODELS)
CLASSIFIERS = ["nam", "vote", "fitted vote", "mlp"]
ADDITIVE, DENSE_KINDS = ["nam", "nam of numbers"], ["mlp", "mlp of numbers"]
VERBS = ["fit", "partial_fit", "grow"]
# What each `grow` is asked for.
GROWN = {
    kind: {"n_neurons" if kind in DENSE_KINDS else "n_branches": 2} for kind in EVERY
}

every_model = pytest.mark.parametrize("kind", EVERY)
every_verb = pytest.mark.parametrize("verb", VERBS)


@cache
def source():
    """Branches that vote: of pairs of columns, trained to see other classes."""
    nam = GrowingNAMClassifier(
        "pairs", hidden_layer_sizes=(6, 6), max_iter=30, random_state=0
    )
    return nam.fit(X, (X[:, 0] + X[:, 1] > 0) + (X[:, 2] > 0.5))


def make(kind, **parameters):
    return MODELS[kind]().set_params(**{"random_state": 0, **parameters})


def target(kind):
    return LABELS if kind in CLASSIFIERS else NUMBERS


@cache
def _fitted(kind):
    return make(kind).fit(X, target(kind))


def fitted(kind):
    """One that may be changed."""
    return copy.deepcopy(_fitted(kind))


def call(model, kind, verb, rows, y, **more):
    """One verb; `grow` is asked for what this kind grows by."""
    asked = GROWN[kind] if verb == "grow" else {}
    return getattr(model, verb)(rows, y, **asked, **more)


def answers(model, rows=X):
    """Scores of the classes, or predicted numbers."""
    return getattr(model, "decision_function", model.predict)(rows)


def numbers_of(model):
    """What is learned: answers, and weights where growth preserves the function."""
    found = [answers(model).ravel()]
    for layer in getattr(model._state.network, "layers", ()):
        found += [layer.weight[0].ravel(), layer.bias[0]]
    return np.concatenate(found)


def test_the_table_holds_every_estimator():
    public = {
        name
        for name in skgrow.__all__
        if isinstance(getattr(skgrow, name), type)
        and issubclass(getattr(skgrow, name), BaseEstimator)
    }
    assert {type(make(kind)).__name__ for kind in EVERY} == public
    assert [kind for kind in EVERY if is_classifier(make(kind))] == CLASSIFIERS


@every_model
def test_every_verb_does_something_and_returns_the_model(kind):
    """Or the rest of this file would compare models that are all the same."""
    model, seen = make(kind), []
    for verb in VERBS:
        assert call(model, kind, verb, X, target(kind)) is model
        seen.append(digest(model._state.network))
    assert len(set(seen)) == len(VERBS)
    assert np.std(answers(model)) > 0.01


# --------------------------------------------------------------- parameters of all five


@every_model
def test_the_same_seed_gives_the_same_model(kind):
    def after_all_verbs(seed):
        model = make(kind, random_state=seed)
        for verb in VERBS:
            call(model, kind, verb, X, target(kind))
        return answers(model)

    np.testing.assert_array_equal(after_all_verbs(0), after_all_verbs(0))
    assert not np.array_equal(after_all_verbs(0), after_all_verbs(1))


@every_model
def test_progress_is_printed_where_asked(kind, capsys):
    plain = make(kind).fit(X, target(kind))
    assert capsys.readouterr().out == ""
    verbose = make(kind, verbose=1).fit(X, target(kind))
    lines = capsys.readouterr().out.splitlines()
    assert lines
    assert all(line.startswith("[skgrow] ") for line in lines)
    np.testing.assert_array_equal(answers(verbose), answers(plain))


@pytest.mark.parametrize("kind", [k for k in EVERY if k != "fitted vote"])  # one step
def test_time_that_has_passed_is_reported(kind):
    with pytest.warns(skgrow.GrowthStoppedWarning, match="max_time=1e-09 seconds have"):
        model = make(kind, max_time=1e-9).fit(X, target(kind))
    assert np.isfinite(answers(model)).all()


@every_model
@every_verb
def test_a_device_that_is_not_there_leaves_the_model(kind, verb):
    model = fitted(kind).set_params(device="nowhere")
    before = digest(model)
    with pytest.raises(ValueError, match="device='nowhere' cannot be used here"):
        call(model, kind, verb, X, target(kind))
    assert digest(model) == before


# ---------------------------------------------------------------------------- warm_start


def test_who_can_start_warm():
    has = [kind for kind in EVERY if "warm_start" in make(kind).get_params()]
    assert has == [
        *ADDITIVE,
        *DENSE_KINDS,
    ]  # an election has nothing trained to start from


@pytest.mark.parametrize("kind", ADDITIVE)
def test_a_warm_fit_of_branches_trains_nothing(kind):
    model = make(kind, warm_start=True).fit(X, target(kind))
    network, scores, n_iter = model._state.network, answers(model), model.n_iter_
    model.set_params(random_state=1).fit(X, target(kind))  # a new fit would differ
    assert model._state.network is network
    assert model.n_iter_ == n_iter
    np.testing.assert_array_equal(answers(model), scores)
    model.set_params(n_branches=1).fit(X, target(kind))  # grows, if any passes its tests
    assert model._state.network.bank is network.bank
    assert model._state.network.curves is network.curves
    assert model.n_iter_ == n_iter
    model.set_params(warm_start=False, n_branches=0).fit(X, target(kind))
    assert not np.array_equal(answers(model), scores)


@pytest.mark.parametrize("kind", DENSE_KINDS)
def test_a_warm_fit_of_a_dense_network_goes_on(kind):
    model = make(kind, warm_start=True).fit(X, target(kind))
    scores, curve, scaler = answers(model), model.loss_curve_, model._state.inputs.scaler
    # So slow that only a network that starts from this one can be near it.
    still = {"random_state": 1, "learning_rate_init": 1e-9, "max_iter": 1}
    model.set_params(**still).fit(X, target(kind))
    assert model._state.inputs.scaler is scaler
    assert model.loss_curve_[:-1] == curve
    assert model.n_iter_ == len(curve) + 1
    np.testing.assert_allclose(answers(model), scores, atol=1e-6)
    model.set_params(warm_start=False).fit(X, target(kind))
    assert np.abs(answers(model) - scores).max() > 0.01
    assert model.n_iter_ == 1


# ----------------------------------------------------------------------------- callbacks

# The work that each verb reports: growth by hand of a dense network has no steps, and an
# election that counts more rows has none either.
TASKS = {
    **dict.fromkeys(ADDITIVE, (["training"], ["training"], ["growth"])),
    **dict.fromkeys(["vote", "fitted vote"], (["growth"], [], ["growth"])),
    **dict.fromkeys(DENSE_KINDS, (["training"], ["training"], [])),
}


class Recorder:
    """A callback that notes which tasks begin and end, and their steps."""

    def __init__(self):
        self.calls = []

    def setup(self, estimator, context):
        self.calls.append(("setup", context.task_name))

    def teardown(self, estimator, context):
        self.calls.append(("teardown", context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(("begin", context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.calls.append(("end", context.task_name))


@every_model
def test_callbacks_see_the_work_of_every_verb(kind):
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 has callbacks")
    recorder = Recorder()
    model = make(kind).set_callbacks(recorder)
    for verb, tasks in zip(VERBS, TASKS[kind], strict=True):
        recorder.calls.clear()
        call(model, kind, verb, X, target(kind))
        of_tasks = [(what, task) for what, task in recorder.calls if task != "step"]
        whole = ("setup", "begin", "end", "teardown")
        assert of_tasks == [(what, task) for task in tasks for what in whole]
        assert (("end", "step") in recorder.calls) == bool(tasks)
        kept = [name for name in vars(model) if "callback" in name]
        assert kept == ["_skl_callbacks"]


# ------------------------------------------------------------------------------- weights


@every_model
@every_verb
def test_a_row_of_weight_0_is_no_row(kind, verb):
    """To rounding: the mean of a target sums in another order."""
    y = target(kind)
    weight = np.ones(N_ROWS)
    weight[::10] = 0
    wrong = np.where(weight > 0, y, y[::-1])
    far = np.where(weight[:, None] > 0, X, 7 * X[::-1])
    used = weight > 0
    start = (lambda: make(kind)) if verb == "fit" else (lambda: fitted(kind))
    weighted, without, heavy = start(), start(), start()
    call(weighted, kind, verb, far, wrong, sample_weight=weight)
    call(without, kind, verb, X[used], y[used])
    call(heavy, kind, verb, far, wrong)
    expected = numbers_of(without)
    np.testing.assert_allclose(numbers_of(weighted), expected, rtol=1e-6, atol=1e-8)
    found = numbers_of(heavy)  # the rows left out matter
    assert found.shape != expected.shape or np.abs(found - expected).max() > 1e-3


def test_who_weighs_classes():
    has = [kind for kind in EVERY if "class_weight" in make(kind).get_params()]
    assert has == CLASSIFIERS  # a number has no class


@pytest.mark.parametrize("kind", CLASSIFIERS)
@every_verb
def test_the_weight_of_a_class_is_that_of_its_rows(kind, verb):
    def after(class_weight, sample_weight):
        model = make(kind) if verb == "fit" else fitted(kind)
        model.set_params(class_weight=class_weight)
        call(model, kind, verb, X, LABELS, sample_weight=sample_weight)
        return numbers_of(model)

    by_class = after({0: 1.0, 1: 4.0, 2: 0.5}, None)
    by_row = after(None, np.array([1.0, 4.0, 0.5])[LABELS])
    np.testing.assert_array_equal(by_class, by_row)
    assert np.abs(by_class - after(None, None)).max() > 1e-3


# -------------------------------------------------------------------------------- copies


@every_model
def test_a_clone_is_unfitted_and_alike(kind):
    model = fitted(kind)
    copied = clone(model)
    assert repr(copied.get_params()) == repr(model.get_params())
    assert set(vars(copied)) == set(copied.get_params(deep=False))
    for ask in (copied.predict, lambda rows: call(copied, kind, "grow", rows, LABELS)):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            ask(X)
    np.testing.assert_array_equal(answers(copied.fit(X, target(kind))), answers(model))


def by_pickle(model, folder):
    return pickle.loads(pickle.dumps(model))


def by_file(model, folder):
    skgrow.save(model, folder / "model")
    return skgrow.load(folder / "model")


def by_deepcopy(model, folder):
    return copy.deepcopy(model)


@every_model
@pytest.mark.parametrize("way", [by_pickle, by_file, by_deepcopy])
def test_a_copy_answers_and_goes_on_alike(kind, way, tmp_path):
    model = fitted(kind)
    before = answers(model)
    other = way(model, tmp_path)
    np.testing.assert_array_equal(answers(other), before)
    for verb in ("grow", "partial_fit"):
        call(other, kind, verb, X, target(kind))
    assert not np.array_equal(answers(other), before)
    np.testing.assert_array_equal(answers(model), before)  # they share nothing
    for verb in ("grow", "partial_fit"):
        call(model, kind, verb, X, target(kind))
    np.testing.assert_array_equal(answers(model), answers(other))


# ------------------------------------------------------------------------ kinds of input


@every_model
@pytest.mark.parametrize("library", [pd, pl], ids=["pandas", "polars"])
def test_a_frame_is_read_as_its_array(kind, library):
    frame = library.DataFrame(dict(zip(NAMES, X.T, strict=True)))
    y = library.Series(target(kind))
    of_frame, of_array = make(kind), make(kind)
    for verb in VERBS:
        call(of_frame, kind, verb, frame, y)
        call(of_array, kind, verb, X, target(kind))
    assert of_frame.feature_names_in_.tolist() == NAMES
    assert not hasattr(of_array, "feature_names_in_")
    np.testing.assert_array_equal(answers(of_frame, frame), answers(of_array))
    np.testing.assert_array_equal(of_frame.predict(frame), of_array.predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        of_frame.predict(frame[NAMES[::-1]])


@every_model
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_model_computes_in_the_dtype_of_its_rows(kind, dtype):
    model, rows = make(kind), X.astype(dtype)
    for verb in VERBS:
        call(model, kind, verb, rows, target(kind))
        found = answers(model, rows)
        assert found.dtype == dtype
        assert np.isfinite(found).all()
        assert model._state.network.dtype == model._state.inputs.dtype == dtype
        if kind in CLASSIFIERS:
            assert model.predict_proba(rows).dtype == dtype


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_probabilities_sum_to_1_and_predict_takes_the_highest(kind, n_classes):
    y = np.array(["a", "b", "c"])[np.minimum(LABELS, n_classes - 1)]
    model = make(kind).fit(X, y)
    proba = model.predict_proba(X)
    assert proba.shape == (N_ROWS, n_classes)
    assert ((proba >= 0) & (proba <= 1)).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.classes_[proba.argmax(axis=1)])
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), proba, rtol=1e-12)
    scores = model.decision_function(X)
    assert scores.shape == ((N_ROWS,) if n_classes == 2 else (N_ROWS, n_classes))
    if n_classes == 2:
        np.testing.assert_allclose(1 / (1 + np.exp(-scores)), proba[:, 1], rtol=1e-9)
    assert len(set(model.predict(X))) > 1


# -------------------------------------------------------------------------------- errors


def with_a(value):
    rows = X.copy()
    rows[-1, 1] = value
    return rows


# For each fault the rows, the target, other arguments and what the message says.
FAULTS = {
    "infinite": lambda y: (with_a(np.inf), y, {}, "infinity"),
    "complex": lambda y: (X * 1j, y, {}, "[Cc]omplex"),
    "flat": lambda y: (X[:, 0], y, {}, "Expected 2D array"),
    "empty": lambda y: (X[:0], y[:0], {}, "0 sample"),
    "column less": lambda y: (X[:, :2], y, {}, "2 features, but"),
    "target short": lambda y: (X, y[1:], {}, "inconsistent numbers of samples"),
    "target gap": lambda y: (X, np.where(X[:, 0] > 0, y, np.nan), {}, "NaN"),
    "weight below 0": lambda y: (
        X, y, {"sample_weight": np.where(X[:, 0] > 0.9, -1.0, 1)}, "[Nn]egative"),
    "weights of 0": lambda y: (X, y, {"sample_weight": 0 * X[:, 0]}, "[Ww]eights"),
    "weight short": lambda y: (X, y, {"sample_weight": np.ones(9)}, "sample_weight"),
}  # fmt: skip
# A new fit may have other columns than the last one.
NO_FAULT = {("fit", "column less")}


@every_model
@pytest.mark.parametrize(
    ("verb", "fault"),
    [(v, f) for v in VERBS for f in FAULTS if (v, f) not in NO_FAULT],
)
def test_an_error_leaves_the_model_as_it_was(kind, verb, fault):
    model = fitted(kind)
    before = digest(model)
    rows, y, more, message = FAULTS[fault](target(kind))
    with pytest.raises(ValueError, match=message):
        call(model, kind, verb, rows, y, **more)
    assert digest(model) == before
    np.testing.assert_array_equal(answers(model), answers(_fitted(kind)))


@every_model
@pytest.mark.parametrize("fault", [f for f in FAULTS if ("fit", f) not in NO_FAULT])
def test_an_error_in_the_first_fit_leaves_it_unfitted(kind, fault):
    model = make(kind)
    rows, y, more, message = FAULTS[fault](target(kind))
    with pytest.raises(ValueError, match=message):
        model.fit(rows, y, **more)
    assert set(vars(model)) == set(model.get_params(deep=False))


# scikit-learn does not check parameters in `partial_fit` of a fitted model.
@every_model
@pytest.mark.parametrize("verb", ["fit", "grow"])
def test_a_wrong_parameter_leaves_the_model_as_it_was(kind, verb):
    model = fitted(kind).set_params(tol=-1.0)
    before = digest(model)
    with pytest.raises(ValueError, match="'tol' parameter"):
        call(model, kind, verb, X, target(kind))
    assert digest(model) == before


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("verb", ["partial_fit", "grow"])
def test_labels_that_fit_has_not_seen_leave_the_model_as_it_was(kind, verb):
    model = fitted(kind)
    before = digest(model)
    with pytest.raises(ValueError, match=r"not seen in fit: \[9\]"):
        call(model, kind, verb, X, np.where(LABELS == 2, 9, LABELS))
    assert digest(model) == before


@every_model
def test_an_estimator_has_one_mixin_of_ours(kind):
    """Steps are functions that it takes: no tower of classes to look through."""
    cls = type(MODELS[kind]())
    ours = [one for one in cls.__mro__ if one.__module__.startswith("skgrow")]
    # scikit-learn's own, which has a stand-in where it is older.
    ours = [one for one in ours if one is not CallbackSupportMixin]
    assert [one.__name__ for one in ours] == [cls.__name__, "FittedMixin"]


@every_model
def test_all_that_is_fitted_is_one_frozen_object(kind):
    model = call(make(kind), kind, "fit", X, target(kind))
    assert vars(model).keys() - model.get_params() == {"_state", "n_features_in_"}
    with pytest.raises(FrozenInstanceError):
        model._state.network = None
