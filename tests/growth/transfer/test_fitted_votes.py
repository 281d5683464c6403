"""Fitted votes: a convex fit on uses of branches of another task."""

import copy

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

import skgrow
from skgrow import ElectionTransferClassifier, GrowingNAMClassifier, ImagePatches
from skgrow.estimators import readout_steps
from skgrow.growth.transfer import drawn_uses
from skgrow.inputs.labelled_rows import LabelledRows
from skgrow.networks.bank import BranchBank
from skgrow.networks.readout import Readout
from skgrow.plotting import GrowthDisplay

PATCHES = ImagePatches((1, 8, 8), patch_size=3, stride=2)
DIGITS, LABELS = load_digits(return_X_y=True)
SMALL = LABELS < 5
X, Y = DIGITS[~SMALL], LABELS[~SMALL]  # digits 5 to 9: 896 rows
TRAIN, TEST = slice(None, 600), slice(600, None)
FEW = slice(None, 60)  # fewer rows than uses
SOURCE = GrowingNAMClassifier(
    PATCHES, hidden_layer_sizes=(8, 8), max_iter=15, random_state=0
).fit(DIGITS[SMALL], LABELS[SMALL])


def fitted_vote(source=SOURCE, **parameters):
    given = {"votes": "fitted", "n_branches": 120, "random_state": 0, **parameters}
    return ElectionTransferClassifier(source, PATCHES, **given)


@pytest.fixture(scope="module")
def voted():
    """Fitted on more rows than uses; not to be changed."""
    return fitted_vote().fit(X[TRAIN], Y[TRAIN])


# ------------------------------------------------------------------ estimator checks


def table_source():
    rng = np.random.RandomState(0)
    rows = rng.uniform(-1, 1, size=(600, 3))
    nam = GrowingNAMClassifier(hidden_layer_sizes=(6, 6), max_iter=10, random_state=0)
    return nam.fit(rows, np.digitize(rows[:, 0] + rows[:, 1], [-0.5, 0.5]))


@pytest.mark.slow
@pytest.mark.changes_global_state
@parametrize_with_checks(
    [
        ElectionTransferClassifier(
            FrozenEstimator(table_source()), votes="fitted", n_branches=20
        )
    ]
)
def test_estimator(estimator, check):
    check(estimator)


# ----------------------------------------------------------------------- predictions


def plain_scores(vote, rows):
    """Weighted outputs, one use at a time, each pooled over its places."""
    network = vote._state.network
    uses, bank = network.grown.uses, network.grown.bank
    scaled = vote._state.inputs.scaler.transform(rows)
    scores = np.tile(network.intercept, (len(rows), 1))
    for m in range(len(uses)):
        b, outputs = uses.branch[m], []
        for offset in uses.window.offsets:
            hidden = uses.scale[m] * scaled[:, uses.columns[m] + offset]
            for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
                hidden = np.maximum(hidden @ weight[b] + bias[b], 0)
            outputs.append(hidden @ bank.weights[-1][b][:, uses.branch_class[m]])
        pooled = getattr(np, uses.window.pooling)(outputs, axis=0)
        scores += pooled[:, None] * network.weights[m]
    return scores


WINDOWS = {
    kind: ImagePatches((1, 8, 8), patch_size=3, window=3, stride=2, pooling=kind)
    for kind in ("mean", "max")
}


@pytest.mark.parametrize("regions", [PATCHES, *WINDOWS.values()])
@pytest.mark.parametrize("rows", [TRAIN, FEW])
def test_scores_are_weighted_outputs(rows, regions):
    vote = fitted_vote(n_branches=100).set_params(regions=regions).fit(X[rows], Y[rows])
    shares = np.bincount(Y[rows])[5:] / len(Y[rows])
    temperature = vote._state.network.temperature
    expected = temperature * plain_scores(vote, X[TEST]) + np.log(shares)
    np.testing.assert_allclose(vote.decision_function(X[TEST]), expected, atol=1e-7)
    assert len(np.unique(vote._state.network.grown.uses.branch)) > 3
    n_places = 1 if regions is PATCHES else 4
    assert vote._state.network.grown.uses.window.n_places == n_places


def test_few_rows_are_enough():
    """Where election elects nobody; and untrained branches go the same way."""
    vote = fitted_vote(n_branches=300).fit(X[FEW], Y[FEW])
    assert vote.score(X[TEST], Y[TEST]) > 0.83
    assert log_loss(Y[TEST], vote.predict_proba(X[TEST])) < 0.6
    bank = SOURCE.bank_
    untrained = BranchBank.random(
        bank.regions, (8, 8), 5, np.random.RandomState(0), bank.dtype
    )
    control = fitted_vote(untrained, n_branches=300).fit(X[FEW], Y[FEW])
    assert 0.6 < control.score(X[TEST], Y[TEST]) < 1


def test_what_is_fitted_is_counted(voted):
    assert voted.n_branches_ == 120
    assert voted.n_parameters_ == 120 * 5 + 5 + 1
    uses = voted._state.network.grown.uses
    trunks = len(np.unique(np.column_stack([uses.region, uses.branch]), axis=0))
    trunk = 9 * 8 + 8 * 8
    assert voted.n_multiply_adds_ == trunks * trunk + 120 * 8 + 120 * 5
    records = voted.grown_branches_
    rows = {(*r["region"], r["branch"], r["branch_class"]) for r in records}
    assert len(rows) == 120  # each use once
    assert set(records[0]["weights"]) == {5, 6, 7, 8, 9}
    best = max(records[0]["weights"], key=records[0]["weights"].get)
    assert records[0]["target_class"] == best
    row = voted.growth_history_[0]
    assert row["n_branches"] == row["n_picked"] == 120
    assert row["loss"] < row["held_out_loss"] < 0.3


def test_left_out_scores_are_honest(voted):
    """On rows and labels that have nothing to do with each other, too."""
    y = np.random.RandomState(0).permutation(Y)
    vote = fitted_vote().fit(X[FEW], y[FEW])
    row = vote.growth_history_[0]
    assert row["held_out_accuracy"] < 0.45
    shares = np.bincount(y[FEW])[5:] / 60
    prior = log_loss(y[TEST], np.tile(shares, (len(y[TEST]), 1)))
    assert log_loss(y[TEST], vote.predict_proba(X[TEST])) < prior + 0.1
    found = voted.growth_history_[0]["held_out_accuracy"]
    assert found == pytest.approx(voted.score(X[TEST], Y[TEST]), abs=0.05)


def test_auto_is_fitted_and_equal_is_the_default(voted):
    assert ElectionTransferClassifier(SOURCE).votes == "equal"
    vote = fitted_vote(votes="auto").fit(X[TRAIN], Y[TRAIN])
    np.testing.assert_array_equal(vote.predict_proba(X), voted.predict_proba(X))
    assert clone(vote).votes == "auto"


def test_no_branch_says_shares():
    vote = fitted_vote(n_branches=0).fit(X[TRAIN], Y[TRAIN])
    shares = np.bincount(Y[TRAIN])[5:] / 600
    np.testing.assert_allclose(vote.predict_proba(X[:2]), np.tile(shares, (2, 1)))
    assert vote.n_parameters_ == 0
    vote.partial_fit(X[TEST], Y[TEST])
    shares = np.bincount(Y)[5:] / len(Y)
    np.testing.assert_allclose(vote.predict_proba(X[:2]), np.tile(shares, (2, 1)))


def test_progress_is_printed_and_drawn(voted, capsys):
    fitted_vote(verbose=1).fit(X[FEW], Y[FEW])
    assert "120 branches, strength" in capsys.readouterr().out
    pytest.importorskip("matplotlib")
    assert GrowthDisplay.from_estimator(voted).ax_.get_xlabel() == "grown branches"


# ---------------------------------------------------------------------- what is drawn


def test_all_uses_may_be_asked_for():
    n_all = 36 * 9 * 5  # regions, branches, outputs
    with pytest.warns(skgrow.GrowthStoppedWarning, match=f"all {n_all:,} uses"):
        vote = fitted_vote(n_branches=10**6).fit(X[FEW], Y[FEW])
    assert vote.n_branches_ == n_all
    assert vote.score(X[TEST], Y[TEST]) > 0.8
    with pytest.warns(match="Growth added 0 of 5 branches"):
        vote.grow(X[FEW], Y[FEW], 5)


def test_memory_bounds_the_uses(monkeypatch):
    monkeypatch.setattr(readout_steps, "MAX_SUMS", 100 * 60)
    with pytest.warns(match="memory is for 100 uses on 60 rows"):
        vote = fitted_vote().fit(X[FEW], Y[FEW])
    assert vote.n_branches_ == 100
    before = vote.predict_proba(X)
    with pytest.raises(ValueError, match="sums of 100 uses on 100 rows do not"):
        vote.partial_fit(X[60:100], Y[60:100])
    with pytest.raises(ValueError, match="sums of 100 uses on 70 rows do not"):
        vote.grow(X[:70], Y[:70], 5)
    np.testing.assert_array_equal(vote.predict_proba(X), before)


def test_left_out_rows_are_a_sample_of_very_many(monkeypatch, voted):
    monkeypatch.setattr(readout_steps, "MAX_LEFT_OUT", 120 * 300)
    vote = fitted_vote().fit(X[TRAIN], Y[TRAIN])
    assert (vote.predict(X[TEST]) == voted.predict(X[TEST])).mean() > 0.97


@pytest.mark.slow
def test_columns_of_tables_are_read_in_both_directions():
    rng = np.random.RandomState(0)
    rows = rng.uniform(-1, 1, size=(200, 3))
    vote = ElectionTransferClassifier(
        table_source(), votes="fitted", n_branches=100, random_state=0
    ).fit(rows, rows[:, 2] > 0)
    assert set(np.unique(vote._state.network.grown.uses.scale)) == {-1, 1}
    assert vote.score(rows, rows[:, 2] > 0) > 0.9


@pytest.mark.parametrize("most", [10, 2**22])
def test_two_draws_continue_the_sequence_of_one(monkeypatch, most):
    """Listed, and drawn where there are too many to list."""
    monkeypatch.setattr(drawn_uses, "MAX_LISTED", most)
    state = fitted_vote(n_branches=0).fit(X[FEW], Y[FEW])._state
    rest = state.network.grown.bank, state.regions, 7
    whole = drawn_uses.draw_uses(*rest, 0, 50).uses
    parts = [drawn_uses.draw_uses(*rest, *part).uses for part in ((0, 20), (20, 30))]
    for name in ("region", "branch", "branch_class", "columns"):
        both = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(both, getattr(whole, name))
    numbers = np.column_stack([whole.region, whole.branch, whole.branch_class])
    assert len(np.unique(numbers, axis=0)) == 50


# ---------------------------------------------------------------- more rows and branches


@pytest.mark.parametrize("rows", [TRAIN, FEW])
def test_growing_is_fitting_more_at_once(rows):
    grown = fitted_vote(n_branches=50).fit(X[rows], Y[rows]).grow(X[rows], Y[rows], 70)
    whole = fitted_vote().fit(X[rows], Y[rows])
    assert grown.n_branches_ == 120
    assert [row["n_branches"] for row in grown.growth_history_] == [50, 120]
    np.testing.assert_allclose(grown.predict_proba(X), whole.predict_proba(X), atol=1e-7)
    same = copy.deepcopy(grown).grow(X[rows], Y[rows], 0)
    np.testing.assert_array_equal(same.predict_proba(X), grown.predict_proba(X))


@pytest.mark.parametrize("n_branches", [20, 400])
def test_more_rows_come_in_any_order(n_branches):
    """Sums add up: rows fewer than uses or more, and weights of all rows so far."""
    parts = [slice(0, 100), slice(100, 350), slice(350, 600)]
    found = []
    for order in ((0, 1, 2), (0, 2, 1)):
        vote = fitted_vote(n_branches=n_branches)
        for i in order:
            vote.partial_fit(X[parts[i]], Y[parts[i]], np.arange(5, 10))
        found.append(vote)
    for name in ("weights", "intercept"):
        both = [getattr(vote._state.network, name) for vote in found]
        np.testing.assert_allclose(*both, rtol=1e-5, atol=1e-8)
    proba = [vote.predict_proba(X) for vote in found]
    np.testing.assert_allclose(*proba, atol=1e-6)
    whole = fitted_vote(n_branches=n_branches).fit(X[TRAIN], Y[TRAIN])
    assert (found[0].predict(X) == whole.predict(X)).mean() > 0.97
    losses = [log_loss(Y[TEST], v.predict_proba(X[TEST])) for v in (found[0], whole)]
    assert losses[0] < losses[1] + 0.05
    assert found[0]._state.network.sums.n_rows == 600


def test_classes_come_one_after_the_other():
    """As if all rows had been there at once, whatever class came first."""
    found = []
    for first, later in (([5, 6], [7, 8, 9]), ([8, 9], [5, 7, 6])):
        vote = fitted_vote(new_classes="add")
        own = np.isin(Y[TRAIN], first)
        vote.fit(X[TRAIN][own], Y[TRAIN][own])
        for label in later:
            own = Y[TRAIN] == label
            vote.partial_fit(X[TRAIN][own], Y[TRAIN][own])
        assert vote.classes_.tolist() == [5, 6, 7, 8, 9]
        assert vote.score(X[TEST], Y[TEST]) > 0.9
        found.append(vote)
    scalers = {vote._state.inputs.scaler for vote in found}
    assert len(scalers) == 1  # the same range of pixels
    both = [vote._state.network.weights for vote in found]
    np.testing.assert_allclose(*both, rtol=1e-5, atol=1e-8)
    grown = fitted_vote(new_classes="add").fit(X[Y < 9], Y[Y < 9]).grow(X, Y, 30)
    assert grown.classes_.tolist() == [5, 6, 7, 8, 9]
    assert grown.score(X[Y == 9], Y[Y == 9]) > 0.8


# --------------------------------------------------------------------------- weights


def test_weights_are_repeated_rows():
    times = np.random.RandomState(0).randint(0, 4, size=60)
    every = np.repeat(np.arange(60), times)
    weighted = fitted_vote().fit(X[FEW], Y[FEW], times)
    repeated = fitted_vote().fit(X[FEW][every], Y[FEW][every])
    np.testing.assert_allclose(
        weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-6
    )


@pytest.mark.parametrize("unit", [1000.0, 1e-3])
def test_weights_in_another_unit_say_the_same(unit):
    plain = fitted_vote().fit(X[FEW], Y[FEW])
    scaled = fitted_vote().fit(X[FEW], Y[FEW], np.full(60, unit))
    np.testing.assert_allclose(plain.predict_proba(X), scaled.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize(
    ("weight", "copies"),
    [
        ([2.0, 1.0, 3.0, 8.0, 8.0, 0.5], [2, 1, 3, 1, 1, 1]),  # class 1 weighs 8
        ([20.0, 10.0, 30.0, 10.0, 40.0, 10.0], [2, 1, 3, 1, 4, 1]),  # another unit
        ([0.2, 0.1, 0.3, 0.8, 0.7, 0.5], [1, 1, 1, 1, 1, 1]),
    ],
)
def test_copies_are_of_rows_and_not_of_classes(weight, copies):
    y = np.array([0, 0, 0, 1, 1, 2])
    rows = LabelledRows(np.zeros((6, 1)), y, np.array(weight))
    np.testing.assert_allclose(readout_steps._copies(rows), copies)


def test_class_weight_moves_the_shares():
    rare = np.flatnonzero((Y[TRAIN] != 5) | (np.arange(600) % 10 == 0))
    plain = fitted_vote().fit(X[rare], Y[rare])
    balanced = fitted_vote(class_weight="balanced").fit(X[rare], Y[rare])
    np.testing.assert_allclose(balanced._state.network.sums.share, 0.2)
    five = X[TEST][Y[TEST] == 5]
    assert (
        balanced.predict_proba(five)[:, 0].mean() > plain.predict_proba(five)[:, 0].mean()
    )


# -------------------------------------------------------------------------- bad input


def test_votes_of_another_kind_are_an_error(voted):
    with pytest.raises(ValueError, match=r"'votes' parameter .* Got 'weighted'"):
        fitted_vote(votes="weighted").fit(X, Y)
    for verb, more in (("partial_fit", ()), ("grow", (5,))):
        vote = copy.deepcopy(voted).set_params(votes="equal")
        with pytest.raises(ValueError, match="fitted with fitted votes; call fit again"):
            getattr(vote, verb)(X, Y, *more)
        vote.set_params(votes="auto")
        getattr(vote, verb)(X, Y, *more)
        assert isinstance(vote._state.network, Readout)


def test_a_checkpoint_has_no_rounds(voted, tmp_path):
    with pytest.raises(ValueError, match=r"checkpoint='.*a' cannot be used with fitted"):
        copy.deepcopy(voted).grow(X, Y, 5, checkpoint=tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_growing_without_a_class_would_lose_it(voted):
    vote = copy.deepcopy(voted)
    with pytest.raises(ValueError, match=r"no row of the classes \[7\]"):
        vote.grow(X[Y != 7], Y[Y != 7], 5)
    np.testing.assert_array_equal(vote.predict_proba(X), voted.predict_proba(X))


@pytest.mark.parametrize("verb", ["grow", "partial_fit"])
def test_new_classes_are_an_error_by_default(verb):
    vote = fitted_vote().fit(X[Y < 9], Y[Y < 9])
    before = vote.decision_function(X)
    with pytest.raises(ValueError, match=r"not seen in fit: \[9\]; the classes are"):
        getattr(vote, verb)(X, Y, *((20,) if verb == "grow" else ()))
    np.testing.assert_array_equal(vote.decision_function(X), before)


# ------------------------------------------------------------------------------- files


@pytest.mark.parametrize("rows", [TRAIN, FEW])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_files_go_on_to_the_bit(rows, dtype, tmp_path):
    vote = fitted_vote().fit(X[rows].astype(dtype), Y[rows].astype(str))
    skgrow.save(vote, tmp_path / "a")
    again = skgrow.load(tmp_path / "a")
    for verb in (lambda v: v, lambda v: v.partial_fit(X[TEST], Y[TEST].astype(str))):
        one, other = verb(vote), verb(again)
        np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))
        assert one.predict_proba(X).dtype == dtype
    assert again.grown_branches_ == vote.grown_branches_
