"""Checkpoints: the same call of grow, made again, ends with the same model."""

import copy
import os
from dataclasses import replace
from functools import cache

import joblib
import numpy as np
import pytest
from kill_growth import rows_and_model
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skgrow
from skgrow import ElectionTransferClassifier, GrowingNAMClassifier, ModelFileError
from skgrow.files.checkpoint import fitted_state
from skgrow.files.persistence import digest, read, write
from skgrow.growth.reuse import rounds
from skgrow.inputs.scaling import PixelScaler

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")

KINDS = ("nam", "refit", "vote", "classes")
N_BRANCHES = 16  # 4 rounds


@cache
def fitted(kind):
    return rows_and_model(kind)


def start(kind):
    """Rows, and a model of its own that can grow on them."""
    return copy.deepcopy(fitted(kind))


@cache
def unbroken(kind):
    X, y, model = start(kind)
    return result_of(model.grow(X, y, N_BRANCHES), X)


def result_of(model, X):
    history = [{**record, "seconds": 0} for record in model.growth_history_]
    return digest(model._state.network, model.decision_function(X), history)


def fail_in_round(monkeypatch, number, error):
    whole = rounds.grow_round

    def failing(*args, round_number, **kwargs):
        if round_number == number:
            raise error
        return whole(*args, round_number=round_number, **kwargs)

    monkeypatch.setattr(rounds, "grow_round", failing)


def run_and_break(monkeypatch, path, kind, number, error=RuntimeError):
    """A process that dies in a round, as far as one process can play that."""
    X, y, model = start(kind)
    number += len(model.growth_history_)
    with monkeypatch.context() as patch:
        fail_in_round(patch, number, error("out of memory"))
        with pytest.raises(error):
            model.grow(X, y, N_BRANCHES, checkpoint=path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [1, 3])
def test_a_broken_run_ends_as_an_unbroken_one(monkeypatch, tmp_path, kind, number):
    path = tmp_path / "a"
    run_and_break(monkeypatch, path, kind, number)
    X, y, model = start(kind)
    n_before = model.n_branches_
    partial = skgrow.load(path)  # a checkpoint is a model
    assert n_before < partial.n_branches_ < n_before + N_BRANCHES
    model.grow(X, y, N_BRANCHES, checkpoint=path)
    assert result_of(model, X) == unbroken(kind)
    assert os.listdir(tmp_path) == ["a"]


def test_twice_broken(monkeypatch, tmp_path):
    for number in (1, 2, 2, 3):
        run_and_break(monkeypatch, tmp_path / "a", "vote", number)
    X, y, model = start("vote")
    model.grow(X, y, N_BRANCHES, checkpoint=str(tmp_path / "a"))
    assert result_of(model, X) == unbroken("vote")


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[:3])
def test_an_interrupted_model_goes_on(monkeypatch, tmp_path, kind):
    """Ctrl-C keeps the rounds that are done; the same line again does the others."""
    X, y, model = start(kind)
    with monkeypatch.context() as patch:
        fail_in_round(patch, 2, KeyboardInterrupt())
        model.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")
    assert 0 < model.n_branches_ < N_BRANCHES
    model.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")
    assert result_of(model, X) == unbroken(kind)


def test_a_finished_run_returns_at_once(monkeypatch, tmp_path):
    X, y, model = start("nam")
    model.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")
    X, y, again = start("nam")
    with monkeypatch.context() as patch:
        fail_in_round(patch, len(model.growth_history_), AssertionError)
        again.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")
    assert result_of(again, X) == result_of(model, X) == unbroken("nam")


def test_growth_that_the_held_out_rows_ended_stays_ended(monkeypatch, tmp_path):
    X, y, model = start("nam")
    model.set_params(tol=10.0, n_rounds_no_change=2)  # nothing is good enough
    X, y, again = start("nam")
    again.set_params(tol=10.0, n_rounds_no_change=2)
    for one in (model, again):
        with pytest.warns(skgrow.GrowthStoppedWarning, match="0 of 16 .*held-out"):
            one.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")
        assert (one.n_branches_, len(one.growth_history_)) == (0, 2)
        fail_in_round(monkeypatch, 2, AssertionError)


def other_rows(X, y, model):
    return X + 1, y, N_BRANCHES


def fewer_rows(X, y, model):
    return X[:-1], y[:-1], N_BRANCHES


def other_n_branches(X, y, model):
    return X, y, N_BRANCHES + 1


def other_parameters(X, y, model):
    model.set_params(delta=0.01)
    return X, y, N_BRANCHES


def other_model(X, y, model):
    model.set_params(random_state=1).fit(X, y).set_params(random_state=0)
    return X, y, N_BRANCHES


def grown_model(X, y, model):
    model.grow(X, y, 4)  # the first of the four rounds
    return X, y, N_BRANCHES


def partially_fitted_model(X, y, model):
    model.partial_fit(X[:100], y[:100])
    return X, y, N_BRANCHES


def model_without_a_term(X, y, model):
    model.remove_terms(model.term_names_[0])
    return X, y, N_BRANCHES


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("rows", other_rows),
        ("rows", fewer_rows),
        ("n_branches", other_n_branches),
        ("parameters", other_parameters),
        ("model", other_model),
        ("model", grown_model),
        ("model", partially_fitted_model),
        ("model", model_without_a_term),
    ],
)
def test_another_call_is_refused(monkeypatch, tmp_path, part, change):
    run_and_break(monkeypatch, tmp_path / "a", "nam", 1)
    content = (tmp_path / "a").read_bytes()
    X, y, model = start("nam")
    args = change(X, y, model)
    before = result_of(model, X)
    with pytest.raises(ValueError, match=f"another call of grow: .*{part}"):
        model.grow(*args, checkpoint=tmp_path / "a")
    assert result_of(model, X) == before
    assert (tmp_path / "a").read_bytes() == content


@pytest.mark.parametrize(
    ("n_done", "change"),
    [
        (2, grown_model),
        (2, partially_fitted_model),
        (2, model_without_a_term),
        (4, model_without_a_term),
    ],
)
def test_a_model_that_was_changed_is_not_put_back(monkeypatch, tmp_path, n_done, change):
    """After an interruption, and after a run that came to its end."""
    X, y, model = start("nam")
    with monkeypatch.context() as patch:
        fail_in_round(patch, n_done, KeyboardInterrupt())
        model.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")
    change(X, y, model)
    before = result_of(model, X)
    with pytest.raises(ValueError, match="another call of grow: the model differ"):
        model.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")
    assert result_of(model, X) == before


def test_a_grown_model_does_not_resume_what_the_ungrown_one_had_begun(tmp_path):
    X, y, model = start("nam")
    model.grow(X, y, 8, checkpoint=tmp_path / "a")
    with pytest.raises(ValueError, match="the model differ"):  # it asks for 8 more
        model.grow(X, y, 8, checkpoint=tmp_path / "a")
    assert model.n_branches_ == 8
    model.grow(X, y, 8, checkpoint=tmp_path / "b")
    assert model.n_branches_ == 16


def test_a_file_of_another_version_is_refused(monkeypatch, tmp_path):
    run_and_break(monkeypatch, tmp_path / "a", "nam", 1)
    monkeypatch.setattr("skgrow.files.checkpoint.version", lambda name: "9.1")
    X, y, model = start("nam")
    with pytest.raises(ValueError, match="another call of grow: the version of skgrow"):
        model.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")


@pytest.mark.parametrize("kind", KINDS)
def test_the_fitted_state_that_is_compared_is_all_of_it(kind):
    X, y, model = start(kind)
    model.grow(X, y, 4)
    before, state = fitted_state(model), model._state
    rounds = [{**record, "seconds": 1e9} for record in state.history.growth]
    changes = {
        "seed": state.seed + 1,
        "network": replace(
            state.network,
            grown=state.network.grown.take(slice(len(state.network.grown) - 1)),
        ),
        "history": replace(state.history, growth=state.history.growth[1:]),
        "inputs": replace(state.inputs, scaler=PixelScaler(0.1, 7.0)),
    }
    for name, value in changes.items():
        model._state = replace(state, **{name: value})
        assert fitted_state(model) != before, name
    model._state = replace(state, history=replace(state.history, growth=tuple(rounds)))
    assert fitted_state(model) == before  # time does not count


def test_workers_and_time_may_change(monkeypatch, tmp_path):
    run_and_break(monkeypatch, tmp_path / "a", "vote", 2)
    X, y, model = start("vote")
    model.set_params(n_jobs=2, max_time=1000.0, verbose=0)
    # Threads, since processes would import everything first.
    with joblib.parallel_config(backend="threading"):
        model.grow(X, y, N_BRANCHES, checkpoint=tmp_path / "a")
    assert result_of(model, X) == unbroken("vote")


def test_files_that_are_no_checkpoints(tmp_path):
    X, y, model = start("nam")
    before = result_of(model, X)
    (tmp_path / "a").write_bytes(b"something else")
    with pytest.raises(ModelFileError, match="no file of skgrow"):
        model.grow(X, y, 4, checkpoint=tmp_path / "a")
    skgrow.save(model, tmp_path / "b")
    with pytest.raises(ValueError, match="no checkpoint of grow"):
        model.grow(X, y, 4, checkpoint=tmp_path / "b")
    with pytest.raises(FileNotFoundError, match="no folder; make it first"):
        model.grow(X, y, 4, checkpoint=tmp_path / "no" / "a")
    with pytest.raises(TypeError):
        model.grow(X, y, 4, checkpoint=7)
    assert result_of(model, X) == before


def test_what_no_file_can_hold_is_said_before_the_first_round(tmp_path):
    X, y, source = start("nam")
    vote = ElectionTransferClassifier(
        make_pipeline(MinMaxScaler(), GrowingNAMClassifier()), "features"
    )
    vote._state, vote.n_features_in_ = source._state, X.shape[1]
    with pytest.raises(TypeError, match="cannot hold a Pipeline"):
        vote.grow(X, y, 4, checkpoint=tmp_path / "a")


# ------------------------------------------------------------------- forged checkpoints


def changed(kind, path, change):
    """A checkpoint with other parts in it, and a digest that fits; a model and rows."""
    X, y, model = start(kind)
    if not path.exists():
        copy.deepcopy(model).grow(X, y, 4, checkpoint=path)
    parts = read(path)
    write(change(*parts), path)
    return X, y, model


def refused(kind, path, change, match):
    content = path.read_bytes() if path.exists() else None
    X, y, model = changed(kind, path, change)
    before = result_of(model, X)
    with pytest.raises(ModelFileError, match=match):
        model.grow(X, y, 4, checkpoint=path)
    assert result_of(model, X) == before
    if content is not None:
        path.write_bytes(content)


@pytest.mark.parametrize("n_before", [-100, -1, 10**6, True, 1.0, "0", None])
def test_a_growth_that_began_with_no_such_number_of_branches(tmp_path, n_before):
    refused(
        "nam", tmp_path / "a", lambda model, call, _, last: [model, call, n_before, last],
        match="no usable checkpoint",
    )  # fmt: skip


def test_other_things_in_place_of_the_growth_state(tmp_path):
    path = tmp_path / "a"
    X, y, model = start("vote")
    model.grow(X, y, 4, checkpoint=path)
    for other in (None, 3, [], {}, "a", model, model._state.network, np.ones(3)):
        refused("vote", path, lambda m, call, n, _, it=other: [m, call, n, it], "usable")
    for other in (None, 3, [], "a", {"rows": np.ones(3)}, {3: "rows"}):
        refused("vote", path, lambda m, _, n, last, it=other: [m, it, n, last], "usable")


def part(name, change):
    """Another progress, with one part of where growth stands changed."""

    def changed(model, call, n_before, progress):
        standing = progress.standing
        value = change(getattr(standing, name))
        other = replace(progress, standing=replace(standing, **{name: value}))
        return [model, call, n_before, other]

    return changed


PARTS = {
    "nam": {"logits": (lambda a: a[1:], lambda a: a[:, 1:], lambda a: a * np.nan,
                       lambda a: a.astype(int), lambda a: None),
            "refit": (lambda _: 1,), "selection": (lambda _: 1,)},
    "vote": {"counts": (lambda a: a[:, 1:], lambda a: a.T), "sums": (lambda a: a[1:],),
             "targets": (lambda a: a + 1, lambda a: -a, lambda a: a.astype(np.uint64)),
             "nominees": (lambda n: replace(n, votes=n.votes[:, 1:]),
                          lambda n: replace(n, votes=n.votes[1:], search=n.search[1:]),
                          lambda n: replace(n, search=n.search + 9),
                          lambda n: replace(n, unseen=n.unseen.astype(float)))},
}  # fmt: skip


@pytest.mark.parametrize("kind", PARTS)
def test_a_growth_state_of_other_rows_or_classes(tmp_path, kind):
    path = tmp_path / "a"
    X, y, model = start(kind)
    model.grow(X, y, 4, checkpoint=path)
    for name, changes in PARTS[kind].items():
        for change in changes:
            refused(kind, path, part(name, change), "usable")


def test_losses_of_other_rows_and_networks_of_another_model(tmp_path):
    path = tmp_path / "a"
    X, y, vote = start("vote")
    X, y, model = start("nam")
    model.grow(X, y, 4, checkpoint=path)

    def with_progress(**parts):
        return lambda m, call, n, last: [m, call, n, replace(last, **parts)]

    losses = read(path)[3].best_losses
    for parts in (
        {"best_losses": losses[1:]}, {"best_losses": losses * np.inf}, {"n_stale": -1},
        {"stopped": 0}, {"best": vote._state.network}, {"best": None}, {"standing": None},
    ):  # fmt: skip
        refused("nam", path, with_progress(**parts), "usable")
    refused("nam", path, lambda m, *rest: [vote, *rest], "another one")
