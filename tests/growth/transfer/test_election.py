"""Election: votes (10), scores (17), transfer, and what more rows and classes do."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skgrow import ElectionTransferClassifier, GrowingNAMClassifier, ImagePatches
from skgrow.growth.transfer.nominees import (
    FRESH_PER_CLASS,
    KEPT_PER_CLASS,
    MAX_BYTES,
    _affordable,
)
from skgrow.growth.transfer.source_banks import source_bank
from skgrow.networks.votes import Tally

# How many votes a few hundred rows carry is not what is asked here.
pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")

PATCHES = ImagePatches((1, 8, 8), patch_size=3, stride=2)
DIGITS, LABELS = load_digits(return_X_y=True)
SMALL = LABELS < 5
X, Y = DIGITS[~SMALL], LABELS[~SMALL]  # digits 5 to 9: 896 rows
TRAIN, TEST = slice(None, 600), slice(600, None)


def make_source(**parameters):
    small = {"hidden_layer_sizes": (8, 8), "max_iter": 15, "random_state": 0}
    nam = GrowingNAMClassifier(PATCHES, **{**small, **parameters})
    return nam.fit(DIGITS[SMALL], LABELS[SMALL])


SOURCE = make_source()


def digits_vote(source=SOURCE, **parameters):
    small = {"n_branches": 40, "round_size": 20, "n_verified": 500, "random_state": 0}
    return ElectionTransferClassifier(source, PATCHES, **{**small, **parameters})


@pytest.fixture(scope="module")
def elected():
    """A fitted election; not to be changed."""
    return digits_vote().fit(X[TRAIN], Y[TRAIN])


# ------------------------------------------------------------------ estimator checks


def table_source():
    rng = np.random.RandomState(0)
    rows = rng.uniform(-1, 1, size=(600, 3))
    nam = GrowingNAMClassifier(hidden_layer_sizes=(6, 6), max_iter=30, random_state=0)
    return nam.fit(rows, np.digitize(rows[:, 0] + rows[:, 1], [-0.5, 0.5]))


@pytest.mark.slow
@pytest.mark.changes_global_state
@parametrize_with_checks(
    [
        ElectionTransferClassifier(
            FrozenEstimator(table_source()), n_branches=30, n_verified=200
        )
    ]
)
def test_estimator(estimator, check):
    check(estimator)


# --------------------------------------------------------------------- votes, scores


def plain_sums(vote, rows):
    """Votes (10) counted one branch at a time."""
    network = vote._state.network
    uses, scaled = network.grown.uses, vote._state.inputs.scaler.transform(rows)
    sums = np.zeros((len(rows), len(vote.classes_)))
    weights = network.grown.bias
    for m in range(len(uses)):
        hidden = uses.scale[m] * scaled[:, uses.columns[m]] + uses.shift[m]
        bank = network.grown.bank
        for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
            hidden = np.maximum(hidden @ weight[uses.branch[m]] + bias[uses.branch[m]], 0)
        output = hidden @ bank.weights[-1][uses.branch[m]][:, uses.branch_class[m]]
        sums[:, uses.target[m]] += weights[m] * (output > uses.threshold[m])
    return sums


@pytest.mark.parametrize("standardise", ["pooled", "class", "vote"])
def test_scores_are_formula_17(standardise):
    vote = digits_vote(standardise=standardise).fit(X[TRAIN], Y[TRAIN])
    seen, fresh = plain_sums(vote, X[TRAIN]), plain_sums(vote, X[TEST])
    deviation = seen.std(axis=0)
    if standardise == "pooled":
        deviation = np.sqrt((deviation**2).mean())
    scores = (fresh - seen.mean(axis=0)) / deviation
    shares = np.bincount(np.searchsorted(vote.classes_, Y[TRAIN])) / 600
    expected = vote._state.network.temperature * scores + np.log(shares)
    np.testing.assert_allclose(vote.decision_function(X[TEST]), expected, atol=1e-8)
    best = vote.classes_[expected.argmax(axis=1)]
    np.testing.assert_array_equal(vote.predict(X[TEST]), best)


def test_votes_of_the_per_vote_form_are_standardised_on_the_pool():
    vote = digits_vote(standardise="vote", n_branches=20).fit(X[TRAIN], Y[TRAIN])
    weights = vote._state.network.grown.bias
    assert len(np.unique(weights)) > 5
    assert (weights >= 2).all()  # 1 / sqrt(p (1 - p))
    assert (digits_vote().fit(X[TRAIN], Y[TRAIN])._state.network.grown.bias == 1).all()


def test_digits_of_another_kind_are_told_apart(elected):
    assert elected.score(X[TEST], Y[TEST]) > 0.85
    assert elected.n_parameters_ == 1
    assert 20 <= elected.n_branches_ <= 40
    proba = elected.predict_proba(X[TEST])
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    prior = np.full_like(proba, 0.2)
    assert log_loss(Y[TEST], proba) < 0.6 * log_loss(Y[TEST], prior)
    sizes = [row["n_branches"] for row in elected.growth_history_]
    losses = [row["held_out_loss"] for row in elected.growth_history_]
    assert sizes == sorted(sizes)
    assert losses[-1] < losses[0]
    record = elected.grown_branches_[0]
    assert record["target_class"] in range(5, 10)
    assert record["bound"] > 0.15


def test_noise_elects_nobody():
    y = np.random.RandomState(0).permutation(Y)
    vote = digits_vote()
    with pytest.warns(match="Growth added 0 of 40 branches"):
        vote.fit(X, y)
    assert vote.n_branches_ == vote.n_parameters_ == 0
    shares = np.bincount(y)[5:] / len(y)
    np.testing.assert_allclose(vote.predict_proba(X[:3]), np.tile(shares, (3, 1)))


# --------------------------------------------------------------------- more rows


def test_growing_continues_the_election(elected):
    grown = copy.deepcopy(elected)
    n_before = grown.n_branches_
    grown.grow(X[TRAIN], Y[TRAIN], 10)
    assert n_before < grown.n_branches_ <= n_before + 10
    kept = grown._state.network.grown.uses.take(slice(0, n_before))
    for name, array in vars(elected._state.network.grown.uses).items():
        np.testing.assert_array_equal(getattr(kept, name), array)
    same = copy.deepcopy(elected).grow(X[TRAIN], Y[TRAIN], 0)
    np.testing.assert_array_equal(same.decision_function(X), elected.decision_function(X))


def test_more_rows_move_the_statistics_alone(elected):
    more = copy.deepcopy(elected).partial_fit(X[TEST], Y[TEST])
    assert more.n_branches_ == elected.n_branches_
    assert more._state.network.temperature == elected._state.network.temperature
    sums = plain_sums(more, X)
    tally = more._state.network.tally
    np.testing.assert_allclose(tally.mean, sums.mean(axis=0))
    np.testing.assert_allclose(tally.std, sums.std(axis=0))
    np.testing.assert_array_equal(tally.class_weight, np.bincount(Y)[5:])


def test_first_partial_fit_elects():
    vote = digits_vote()
    vote.partial_fit(X[TRAIN], Y[TRAIN], classes=np.arange(5, 10))
    fitted = digits_vote().fit(X[TRAIN], Y[TRAIN])
    np.testing.assert_array_equal(vote.predict_proba(X), fitted.predict_proba(X))


def test_weights_count_as_rows_in_the_tally():
    rng = np.random.RandomState(0)
    sums, y = rng.randint(9, size=(40, 3)), rng.randint(3, size=40)
    times = rng.randint(1, 4, size=40)
    weighted = Tally.of(sums, y, times)
    every = np.repeat(np.arange(40), times)
    repeated = Tally.of(sums[every], y[every], np.ones(len(every)))
    for name in ("mean", "std", "log_prior"):
        np.testing.assert_allclose(getattr(weighted, name), getattr(repeated, name))


# --------------------------------------------------------------------- new classes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("verb", ["grow", "partial_fit"])
def test_a_new_class_leaves_the_others_as_they_were(verb, dtype):
    """Forgetting is zero by construction: the scores of the old classes do not move."""
    X, old = DIGITS[~SMALL].astype(dtype), Y < 9
    vote = digits_vote(new_classes="add").fit(X[old], Y[old])
    before = copy.deepcopy(vote)
    if verb == "grow":
        vote.grow(X, Y, 20)
    else:
        vote.partial_fit(X, Y)
    assert vote.classes_.tolist() == [5, 6, 7, 8, 9]
    network = vote._state.network
    new = network.grown.uses.target[before.n_branches_ :]
    assert len(new) > 3
    assert (new == 4).all()

    def scores(model):
        network = model._state.network
        centred = plain_sums(model, X) - network.tally.mean
        return (centred / network.deviation)[:, :4]

    np.testing.assert_array_equal(scores(vote), scores(before))
    assert network.cohort.tolist() == [0, 0, 0, 0, 1]
    assert network.deviation[4] == network.tally.std[4]
    assert network.temperature == before._state.network.temperature
    assert vote.score(X[~old], Y[~old]) > 0.5
    assert vote.score(X, Y) > 0.8


@pytest.mark.parametrize("verb", ["grow", "partial_fit"])
def test_new_classes_are_an_error_by_default(verb):
    vote = digits_vote().fit(X[Y < 9], Y[Y < 9])
    before = vote.decision_function(X)
    args = (X, Y, 20) if verb == "grow" else (X, Y)
    with pytest.raises(ValueError, match=r"not seen in fit: \[9\]; the classes are"):
        getattr(vote, verb)(*args)
    np.testing.assert_array_equal(vote.decision_function(X), before)


def test_an_old_class_need_not_be_the_first():
    vote = digits_vote(new_classes="add").fit(X[Y > 5], Y[Y > 5])
    before, n_before = vote.predict(X[Y > 5]), vote.n_branches_
    vote.grow(X, Y, 20)
    assert vote.classes_.tolist() == [5, 6, 7, 8, 9]
    new = vote._state.network.grown.uses.target[n_before:]
    assert len(new) > 3
    assert (new == 0).all()  # nobody else gets a vote, nominees of before included
    after = vote.predict(X[Y > 5])
    np.testing.assert_array_equal(after[after != 5], before[after != 5])


# ------------------------------------------------------------------------- sources


def test_sources_of_every_kind_give_the_same(elected):
    expected = elected.decision_function(X)
    for source in (FrozenEstimator(SOURCE), SOURCE.bank_, [SOURCE], (SOURCE.bank_,)):
        vote = digits_vote(source).fit(X[TRAIN], Y[TRAIN])
        np.testing.assert_array_equal(vote.decision_function(X), expected)


def test_several_sources_make_one_pool():
    other = GrowingNAMClassifier(PATCHES, hidden_layer_sizes=(8, 8), max_iter=5)
    other.set_params(random_state=1).fit(X[Y < 8], Y[Y < 8])  # three classes
    bank = source_bank([SOURCE, other], use_grown=False, dtype=np.float64)
    assert bank.n_branches == SOURCE.bank_.n_branches + other.bank_.n_branches
    terms = bank.terms(DIGITS[:9])
    np.testing.assert_allclose(terms[:, :9], SOURCE.bank_.terms(DIGITS[:9]), atol=1e-12)
    np.testing.assert_allclose(
        terms[:, 9:, :3], other.bank_.terms(DIGITS[:9]), atol=1e-12
    )
    assert (terms[:, 9:, 3:] == 0).all()
    vote = digits_vote([SOURCE, other]).fit(X[TRAIN], Y[TRAIN])
    assert {branch < 9 for branch in vote._state.network.grown.uses.branch} == {
        True,
        False,
    }


def test_grown_branches_with_maps_are_sources_too():
    nam = make_source(matching="clusters", round_size=10, n_verified=300)
    nam.grow(DIGITS[SMALL], LABELS[SMALL], 10)
    grown = nam._state.network.grown
    bank = source_bank(nam, use_grown=True, dtype=np.float64)
    assert len(source_bank(nam, use_grown=False, dtype=np.float64).regions) == 9
    assert bank.n_branches == 9 + len(grown)
    x = np.random.RandomState(0).uniform(-0.5, 0.5, size=(7, 64))
    terms = bank.terms(x)[:, 9:]
    for m in range(len(grown)):
        hidden = grown.uses.scale[m] * x[:, grown.uses.columns[m]] + grown.uses.shift[m]
        b = grown.uses.branch[m]
        for weight, bias in zip(nam.bank_.weights[:-1], nam.bank_.biases, strict=True):
            hidden = np.maximum(hidden @ weight[b] + bias[b], 0)
        output = hidden @ nam.bank_.weights[-1][b]
        assert np.isclose(terms, output[:, None], atol=1e-9).all(axis=(0, 2)).any()
    plain = make_source(matching="exhaustive").grow(DIGITS[SMALL], LABELS[SMALL], 5)
    assert source_bank(plain, use_grown=True, dtype=np.float64).n_branches == 9


@pytest.mark.slow
def test_clones_pipelines_and_searches_keep_the_source(elected):
    again = clone(elected)
    assert again.source is SOURCE
    assert not hasattr(again, "classes_")
    np.testing.assert_array_equal(
        again.fit(X[TRAIN], Y[TRAIN]).predict_proba(X), elected.predict_proba(X)
    )
    pipeline = make_pipeline(MinMaxScaler(), digits_vote())
    search = GridSearchCV(
        pipeline, {"electiontransferclassifier__n_branches": [10, 20]}, cv=2, n_jobs=2
    )
    search.fit(X, Y)
    assert search.best_score_ > 0.6


def test_the_source_may_be_gone():
    source = make_source(max_iter=5)
    vote = digits_vote(source, n_branches=20).fit(X[TRAIN], Y[TRAIN])
    expected = vote.predict_proba(X)
    vote.source = None
    del source
    np.testing.assert_array_equal(vote.predict_proba(X), expected)
    loaded = pickle.loads(pickle.dumps(vote))
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)


# ------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("vote", "error", "match"),
    [
        (
            digits_vote(GrowingNAMClassifier(PATCHES)),
            NotFittedError,
            r"source GrowingNAMClassifier is not fitted.*FrozenEstimator",
        ),
        (digits_vote("nam"), TypeError, r"must be a fitted GrowingNAM.*got 'nam'"),
        (digits_vote([]), ValueError, r"source is an empty list"),
        (
            digits_vote([SOURCE, table_source()]),
            ValueError,
            r"equally many columns.*2 columns and layers \(6, 6\), 9 columns and",
        ),
        (
            ElectionTransferClassifier(SOURCE, random_state=0),
            ValueError,
            r"those of the source see 9; pass ImagePatches or lists of 9 columns",
        ),
        (
            ElectionTransferClassifier(SOURCE, "pairs", random_state=0),
            ValueError,
            r"regions have 2 columns each, but the branches of the source see 9",
        ),
        (
            ElectionTransferClassifier(SOURCE, ImagePatches((1, 28, 28)), random_state=0),
            ValueError,
            r"image_shape=\(1, 28, 28\) needs 1 \* 28 \* 28 = 784 columns",
        ),
    ],
)
def test_bad_sources_and_regions(vote, error, match):
    with pytest.raises(error, match=match):
        vote.fit(X, Y)
    assert not hasattr(vote, "classes_")


def test_fewer_rows_than_classes():
    with pytest.raises(ValueError, match=r"X has 3 rows .*for 5 classes"):
        digits_vote().partial_fit(X[:3], Y[:3], classes=np.arange(5, 10))


def test_few_rows_elect_nobody_and_say_so():
    with pytest.warns(match="selection set is too small to test anything"):
        vote = digits_vote().fit(X[:30], Y[:30])
    assert vote.n_branches_ == 0
    with pytest.raises(ValueError, match="X_sel: the selection set is too small"):
        vote.grow(X[:30], Y[:30], 5)


@pytest.mark.parametrize("rows", [slice(0, 3), Y == 9])
@pytest.mark.parametrize("verb", ["grow", "partial_fit"])
def test_a_new_class_needs_rows_to_test_on(verb, rows):
    vote = digits_vote(new_classes="add").fit(X[Y < 9], Y[Y < 9])
    before = vote.decision_function(X)
    y = np.full(len(X), 9)[rows]
    args = (X[rows], y, 20) if verb == "grow" else (X[rows], y)
    with pytest.raises(ValueError, match="holds rows of one class only"):
        getattr(vote, verb)(*args)
    np.testing.assert_array_equal(vote.decision_function(X), before)


def test_a_source_may_have_more_classes_than_the_task():
    two = Y < 7
    vote = digits_vote(n_branches=20).fit(X[two], Y[two])
    records = vote.grown_branches_
    assert {record["branch_class"] for record in records} <= set(range(5))
    assert max(record["branch_class"] for record in records) > 1
    assert {record["target_class"] for record in records} <= {5, 6}


# -------------------------------------------------------------------------- nominees


def test_nominees_stay_and_may_be_elected_again():
    vote = digits_vote(n_branches=60).fit(X[TRAIN], Y[TRAIN])
    uses = vote._state.network.grown.uses
    rows = np.column_stack([uses.region, uses.branch, uses.branch_class, uses.threshold])
    assert len(np.unique(rows, axis=0)) < len(rows)  # some have two votes
    nominees = vote._state.network.nominees
    assert len(nominees) > 20
    assert (nominees.bound > 0.15).all()
    # One round of a search that finds nothing: all votes go to earlier nominees.
    blind = copy.deepcopy(vote).set_params(search_regions=1, n_verified=1, round_size=5)
    blind.grow(X[TRAIN], Y[TRAIN], 5)
    assert 1 <= blind.n_branches_ - vote.n_branches_ <= 5
    assert blind.growth_history_[-1]["n_qualified"] <= 1


def test_the_memory_of_nominees_is_bounded():
    few = np.zeros((1000, 10), dtype=np.float32)
    many = np.broadcast_to(np.float32(0), (10**6, 10))
    targets = np.arange(10)
    n_bytes = [
        sum(_affordable(n, logits, targets) for n in (KEPT_PER_CLASS, FRESH_PER_CLASS))
        * len(targets) * logits.nbytes // 10
        for logits in (few, many)
    ]  # fmt: skip
    assert _affordable(KEPT_PER_CLASS, few, targets) == KEPT_PER_CLASS
    assert MAX_BYTES / 2 < n_bytes[1] <= MAX_BYTES
