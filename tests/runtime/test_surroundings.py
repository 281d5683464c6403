"""What a caller has set around a verb, or does meanwhile, changes no number."""

import threading
from contextlib import ExitStack, contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

import skgrow
from skgrow import (
    ElectionTransferClassifier,
    GrowingMLPClassifier,
    GrowingMLPRegressor,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    ImagePatches,
)
from skgrow.estimators import additive_verbs, dense_verbs
from skgrow.files.persistence import digest

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")

DIGITS, LABELS = load_digits(return_X_y=True)
DIGITS, LABELS = DIGITS[:300], LABELS[:300]
ROWS = np.random.RandomState(0).normal(size=(300, 3))
NUMBERS = np.abs(ROWS[:, 0]) + ROWS[:, 1] * ROWS[:, 2]
PATCHES = ImagePatches((1, 8, 8), patch_size=3, stride=5)
SEARCH = {
    "n_verified": 100, "search_regions": 5, "round_size": 4, "matching": "exhaustive"
}  # fmt: skip
SMALL = {"hidden_layer_sizes": (6,)}


def table_nam():
    return GrowingNAMClassifier(max_iter=2, n_replicas=1, random_state=0, **SEARCH)


def classifier(grow=True):
    nam = GrowingNAMClassifier(PATCHES, max_iter=2, random_state=0, **SEARCH, **SMALL)
    nam.fit(DIGITS, LABELS)
    return nam.grow(DIGITS, LABELS, 8) if grow else nam


def regressor():
    nam = GrowingNAMRegressor("pairs", max_iter=2, random_state=0, **SEARCH)
    nam.fit(ROWS, NUMBERS)
    return nam.grow(ROWS, NUMBERS, 4).partial_fit(ROWS, NUMBERS)


def election():
    source = classifier(grow=False)
    vote = ElectionTransferClassifier(
        source, PATCHES, n_branches=8, random_state=0, **SEARCH
    ).fit(DIGITS, LABELS)
    return vote.grow(DIGITS, LABELS, 4).partial_fit(DIGITS, LABELS)


def dense(how):
    mlp = GrowingMLPClassifier((4,), how=how, max_iter=4, random_state=0)
    mlp.fit(ROWS, NUMBERS > 1).partial_fit(ROWS, NUMBERS > 1)
    return mlp.grow(ROWS, NUMBERS > 1, n_neurons=2)


def dense_numbers():
    mlp = GrowingMLPRegressor((4,), how="autogrow", max_iter=4, random_state=0)
    return mlp.fit(ROWS, NUMBERS).grow(ROWS, NUMBERS, n_layers=1)


MAKERS = {
    "GrowingNAMClassifier": classifier,
    "GrowingNAMRegressor": regressor,
    "ElectionTransferClassifier": election,
    "GrowingMLPClassifier": lambda: dense("gradmax"),
    "GrowingMLPRegressor": dense_numbers,
    "firefly": lambda: dense("firefly"),
    "swe": lambda: dense("swe"),
}


@contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def all_of(*contexts):
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield


SURROUNDINGS = {
    "no_grad, device, autocast, errors of numpy": lambda: all_of(
        torch.no_grad(),
        default_device("meta"),
        torch.autocast("cpu", dtype=torch.bfloat16),
        np.errstate(all="raise"),
    ),
    "inference_mode": lambda: all_of(torch.inference_mode(), torch.device("meta")),
    "default dtype": lambda: default_dtype(torch.bfloat16),
}


def numbers_of(model):
    """All that a model has learned, and what it answers."""
    X = DIGITS if model.n_features_in_ == 64 else ROWS
    answers = [model.predict(X)]
    if hasattr(model, "predict_proba"):
        answers += [model.predict_proba(X), model.decision_function(X)]
    if hasattr(model, "eval_terms"):
        answers += [model.eval_terms(X), model.term_importances(X)]
    return digest(model._state.network, *answers)


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKERS)
def test_verbs_give_the_same_numbers_in_any_surroundings(name):
    plain = numbers_of(MAKERS[name]())
    for surroundings, context in SURROUNDINGS.items():
        with context():
            assert numbers_of(MAKERS[name]()) == plain, surroundings


def test_surroundings_of_the_caller_are_left_as_they_were():
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        dense("gradmax").predict(ROWS)
        assert not torch.is_grad_enabled()
        assert torch.is_autocast_enabled("cpu")
    with torch.inference_mode(), torch.device("meta"):
        dense("gradmax")
        assert torch.is_inference_mode_enabled()
        assert torch.zeros(1).device.type == "meta"


@pytest.mark.parametrize("name", list(MAKERS)[:5])
def test_files_load_in_any_surroundings(name, tmp_path):
    model = MAKERS[name]()
    skgrow.save(model, tmp_path / "a")
    plain = numbers_of(model)
    for surroundings, context in SURROUNDINGS.items():
        with context():
            assert numbers_of(skgrow.load(tmp_path / "a")) == plain, surroundings


# ------------------------------------------------------------------------ other threads


def frames():
    """A table with text, and its classes; and another one of more classes."""
    text = np.where(ROWS[:, 0] > 0, "a", "b")
    X = pd.DataFrame({"text": text, "x": ROWS[:, 1], "z": ROWS[:, 2]})
    return (X, NUMBERS > 1), (X, np.digitize(NUMBERS, [0.5, 1.5]))


def twice_fitted(model, first, second, answer):
    """Answers of another thread while a model is fitted again and again."""
    model.fit(*first)
    expected = [digest(answer(model, first[0]))]
    expected.append(digest(answer(model.fit(*second), first[0])))
    found, failed, done = set(), [], threading.Event()

    def ask():
        try:
            while not done.is_set():
                found.add(digest(answer(model, first[0])))
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        model.fit(*first)
        model.fit(*second)
    finally:
        done.set()
        thread.join()
    assert not failed
    assert found
    assert found <= set(expected)


@pytest.mark.parametrize("n_branches", [0, 4])
def test_threads_predict_while_a_table_is_fitted(n_branches):
    nam = table_nam().set_params(n_branches=n_branches)
    twice_fitted(nam, *frames(), lambda m, X: m.predict(X).astype(float))


@pytest.mark.parametrize("verb", ["predict", "eval_terms"])
def test_threads_ask_a_regressor_while_it_is_fitted(verb):
    nam = GrowingNAMRegressor(max_iter=1, n_replicas=1, random_state=0)
    first, second = (ROWS, NUMBERS), (10 * ROWS + 3, 100 + 7 * NUMBERS)
    twice_fitted(nam, first, second, lambda m, X: getattr(m, verb)(X))


@pytest.mark.parametrize("mlp", [GrowingMLPClassifier, GrowingMLPRegressor])
def test_threads_predict_while_a_dense_network_is_fitted(mlp):
    first, second = (ROWS, NUMBERS > 1), (10 * ROWS, np.digitize(NUMBERS, [0.5, 1.5]))
    model = mlp((4,), max_iter=4, random_state=0)
    twice_fitted(model, first, second, lambda m, X: m.predict(X).astype(float))


def test_threads_vote_while_an_election_is_held():
    vote = ElectionTransferClassifier(
        classifier(grow=False), PATCHES, n_branches=4, random_state=0, **SEARCH
    )
    first, second = (DIGITS, LABELS), (DIGITS[::-1], LABELS > 4)
    twice_fitted(vote, first, second, lambda m, X: m.predict(X).astype(int))


def test_parameters_set_while_a_model_is_fitted_stay(monkeypatch):
    nam = table_nam()
    whole = additive_verbs.train

    def train(*args, **kwargs):
        nam.set_params(verbose=1)
        return whole(*args, **kwargs)

    monkeypatch.setattr(additive_verbs, "train", train)
    nam.fit(ROWS, NUMBERS > 1)
    assert nam.verbose == 1


# ------------------------------------------------------------------- what an error leaves


def failing(*args, **kwargs):
    raise RuntimeError("out of memory")


@pytest.mark.parametrize(
    ("make", "y"),
    [
        (table_nam, NUMBERS > 1),
        (lambda: GrowingNAMRegressor("pairs", max_iter=1), NUMBERS),
        (lambda: GrowingMLPClassifier((4,), max_iter=1), NUMBERS > 1),
        (lambda: GrowingMLPRegressor((4,), max_iter=1), NUMBERS),
    ],
)
def test_a_failed_fit_leaves_a_random_state_as_it_was(monkeypatch, make, y):
    model = make().set_params(random_state=np.random.RandomState(7))
    with monkeypatch.context() as patch:
        for verbs in (additive_verbs, dense_verbs):
            patch.setattr(verbs, "train", failing)
        with pytest.raises(RuntimeError, match="out of memory"):
            model.fit(ROWS, y)
    wanted = make().set_params(random_state=np.random.RandomState(7)).fit(ROWS, y)
    assert digest(model.fit(ROWS, y)._state.network) == digest(wanted._state.network)
    # A fit that succeeds draws, as everywhere in scikit-learn.
    assert digest(model.fit(ROWS, y)._state.network) != digest(wanted._state.network)


def test_a_failed_election_leaves_a_random_state_as_it_was(monkeypatch):
    state = np.random.RandomState(7)
    before = state.get_state()[1].copy()
    vote = ElectionTransferClassifier(
        classifier(grow=False), PATCHES, n_branches=4, random_state=state, **SEARCH
    )
    monkeypatch.setattr("skgrow.estimators.election.first_election", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        vote.fit(DIGITS, LABELS)
    np.testing.assert_array_equal(state.get_state()[1], before)
