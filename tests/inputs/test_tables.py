"""Frames as they come: categories, missing and unseen values."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone

import skgrow
from skgrow import (
    ElectionTransferClassifier,
    GrowingNAMClassifier,
    IgnoredColumnWarning,
    ImagePatches,
    UnseenCategoryWarning,
)
from skgrow.inputs.scaling import MISSING, fit_scaler
from skgrow.inputs.tables import RARE_ROWS, Table

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")


def small(**parameters):
    given = {"max_iter": 150, "hidden_layer_sizes": (8,), "random_state": 0}
    return GrowingNAMClassifier(**{**given, **parameters})


def columns(n=900, seed=0):
    """Plain lists: numbers, text, booleans and gaps, and labels that need all of them."""
    rng = np.random.RandomState(seed)
    age = rng.uniform(20, 70, size=n)
    town = rng.choice(["Bern", "Oslo", "Rome", "Wien"], size=n)
    member = rng.rand(n) < 0.5
    gap = rng.rand(n) < 0.2
    score = 2 * np.isin(town, ["Bern", "Rome"]) + member + 2 * gap - 2 + 0.02 * (age - 45)
    y = np.where(score + 0.3 * rng.randn(n) > 0, "yes", "no")
    income = [None if g else float(v) for g, v in zip(gap, rng.rand(n), strict=True)]
    data = {
        "age": age.tolist(),
        "town": [None if rng.rand() < 0.05 else t for t in town.tolist()],
        "member": member.tolist(),
        "income": income,
        "constant": ["x"] * n,
    }
    return data, y


DATA, Y = columns()
FRESH, FRESH_Y = columns(seed=1)
FRAMES = {"pandas": pd.DataFrame, "polars": pl.DataFrame}


@pytest.fixture(scope="module")
def fitted():
    return small().fit(pd.DataFrame(DATA), Y)


@pytest.fixture(scope="module")
def brief():
    """Fitted by ten passes, to be compared with others."""
    return small(max_iter=10).fit(pd.DataFrame(DATA), Y)


@pytest.mark.parametrize("library", FRAMES)
def test_a_frame_as_it_is(library):
    make = FRAMES[library]
    nam = small(n_verified=100).fit(make(DATA), Y)
    assert nam.score(make(FRESH), FRESH_Y) > 0.85
    assert nam.feature_names_in_.tolist() == list(DATA)
    assert nam.n_features_in_ == 5
    nam.grow(make(DATA), Y, 3).partial_fit(make(DATA), Y)
    proba = nam.predict_proba(make(FRESH))
    assert np.isfinite(proba).all()


@pytest.mark.slow
def test_libraries_and_column_types_agree(brief):
    frame = pd.DataFrame(DATA)
    as_category = frame.astype({"town": "category", "constant": "category"})
    arrow_like = frame.convert_dtypes()
    expected = brief.decision_function(frame)
    for other in (as_category, arrow_like, pl.DataFrame(DATA)):
        again = clone(brief).fit(other, Y)
        np.testing.assert_allclose(again.decision_function(frame), expected, atol=1e-9)
        np.testing.assert_allclose(brief.decision_function(other), expected, atol=1e-12)


def test_missing_values_have_a_learned_place(fitted):
    frame = pd.DataFrame(FRESH)
    gap, filled = frame.copy(), frame.copy()
    gap["income"] = np.nan
    filled["income"] = 0.5
    rise = fitted.decision_function(gap) - fitted.decision_function(filled)
    assert (rise > 0).mean() > 0.99  # a gap raises the score of "yes"


def test_unseen_categories_are_missing_and_said_once(fitted):
    frame = pd.DataFrame(FRESH)
    odd, gap = frame.copy(), frame.copy()
    odd["town"] = ["Lima", "Kiew"] * (len(odd) // 2)
    gap["town"] = None
    with pytest.warns(UnseenCategoryWarning, match="'town': 'Kiew', 'Lima'") as caught:
        answer = fitted.predict_proba(odd)
    assert len(caught) == 1
    assert "test_tables" in caught[0].filename
    np.testing.assert_array_equal(answer, fitted.predict_proba(gap))


def test_a_gap_where_fit_saw_none_is_the_median(fitted):
    frame = pd.DataFrame(FRESH).head(20)
    gap, middle = frame.copy(), frame.copy()
    gap["age"] = np.nan
    middle["age"] = np.median(DATA["age"])
    np.testing.assert_allclose(
        fitted.decision_function(gap), fitted.decision_function(middle), atol=0.05
    )


def test_codes_know_nothing_of_the_target():
    frame = pd.DataFrame({"town": ["b"] * 50 + ["a"] * 50 + ["c"] * 50 + [None] * 5})
    table = Table.of(frame)
    assert table.categories[0].tolist() == ["a", "b", "c"]
    codes = table.transform(frame)[:, 0]
    assert np.isnan(codes[150:]).all()
    np.testing.assert_array_equal(codes[:150], np.repeat([1, 0, 2], 50))


def test_rare_values_are_pooled():
    often = [f"v{v:02d}" for v in range(20)]
    rare = ["x", "x", "y", "z"]
    frame = pd.DataFrame({"value": often * RARE_ROWS + rare})
    table = Table.of(frame)
    assert table.categories[0].tolist() == often
    assert table.rare[0].tolist() == ["x", "y", "z"]
    assert table.n_codes.tolist() == [21]
    assert table.labels[0][-1] == "3 rare values"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # rare values are no unseen ones
        codes = table.transform(frame)[:, 0]
    np.testing.assert_array_equal(codes, [*range(20)] * RARE_ROWS + [20] * 4)
    single = Table.of(pd.DataFrame({"value": often * RARE_ROWS + ["x"]}))
    assert single.categories[0].tolist() == [*often, "x"]  # alone, it is what it is
    few = pd.DataFrame({"value": ["a"] * 50 + ["b"] * 2})
    assert Table.of(few).categories[0].tolist() == ["a", "b"]


def test_a_column_is_left_out_where_its_values_hardly_repeat():
    names = [f"person {i}" for i in range(300)]
    frame = pd.DataFrame(
        {
            "name": names,
            "pair": names[:150] * 2,
            "nickname": [None] * 250 + names[:50],
            "mostly": ["none"] * 100 + names[:200],  # "none" or not may matter
            "constant": ["x"] * 300,
        }
    )
    with pytest.warns(
        IgnoredColumnWarning, match=r"'name', 'pair', 'nickname'\."
    ) as told:
        table = Table.of(frame)
    assert len(told) == 1
    assert table.n_codes.tolist() == [0, 0, 0, 2, 1]
    assert not table.transform(frame)[:, :3].any()


def test_numbers_alone_are_read_as_an_array():
    frame = pd.DataFrame({"a": [1.0, 2, 3, 4] * 30, "b": [0, 1, 0, 1] * 30})
    y = frame["b"].to_numpy()
    nam = small().fit(frame.astype(np.float32), y)
    assert nam._state.inputs.table is None
    assert nam.bank_.dtype == np.float32
    np.testing.assert_array_equal(nam.predict(frame.assign(a=np.nan)), y)


@pytest.mark.slow
@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
def test_single_precision_stays_where_all_numbers_fit_into_it(make):
    single = {
        "age": np.array(DATA["age"], dtype=np.float32),
        "town": DATA["town"],
        "few": (np.arange(len(Y)) % 7).astype(np.int8),
    }
    nam = small(max_iter=2).fit(make(single), Y)
    assert nam.bank_.dtype == nam.predict_proba(make(single)).dtype == np.float32
    double = make({**single, "age": DATA["age"]})
    np.testing.assert_allclose(
        nam.predict_proba(double), nam.predict_proba(make(single)), atol=1e-5
    )
    wide = make({**single, "number": np.arange(len(Y), dtype=np.int64)})
    assert small(max_iter=2).fit(wide, Y).bank_.dtype == np.float64
    words = make({"town": DATA["town"], "few": single["few"]})
    assert small(max_iter=2).fit(words, Y).bank_.dtype == np.float64


def test_frames_with_gaps_and_no_category_take_arrays_too():
    rng = np.random.RandomState(0)
    X = rng.randn(600, 2)
    X[:150, 0] = np.nan
    y = (np.isnan(X[:, 0]) | (X[:, 1] > 0)).astype(int)
    nam = small().fit(pd.DataFrame(X, columns=["a", "b"]), y)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*feature names")
        assert nam.score(X, y) > 0.9


def test_files_pickles_and_checkpoints_keep_the_table(fitted, tmp_path):
    frame = pd.DataFrame(FRESH)
    expected = fitted.predict_proba(frame)
    skgrow.save(fitted, tmp_path / "a")
    for again in (skgrow.load(tmp_path / "a"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(again.predict_proba(frame), expected)
    grown = copy.deepcopy(fitted)
    grown.grow(pd.DataFrame(DATA), Y, 2, checkpoint=tmp_path / "b")
    again = skgrow.load(tmp_path / "b")
    np.testing.assert_array_equal(again.predict_proba(frame), grown.predict_proba(frame))


def test_elections_read_frames():
    source = small().fit(np.random.RandomState(0).randn(200, 3), np.arange(200) % 2)
    vote = ElectionTransferClassifier(source, n_branches=5, n_verified=50, random_state=0)
    vote.fit(pd.DataFrame(DATA), Y)
    assert vote.predict(pd.DataFrame(FRESH)).shape == (900,)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"age": pd.Timestamp("2026-01-01")}, TypeError, "'age' is of type datetime64"),
        ({"age": 1j}, TypeError, "'age' is of type complex"),
        ({"town": [["a"]] * 900}, TypeError, "'town' holds values that are no"),
        ({"age": np.inf}, ValueError, "infinity"),
    ],
)
def test_columns_that_cannot_be_read(change, error, message):
    frame = pd.DataFrame(DATA).assign(**change)
    with pytest.raises(error, match=message):
        small().fit(frame, Y)


def test_wrong_frames_leave_the_model_as_it_was(fitted):
    frame, model = pd.DataFrame(FRESH), copy.deepcopy(fitted)
    expected = fitted.predict_proba(frame)
    with pytest.raises(TypeError, match="'age' held numbers in fit; now it holds 'old'"):
        model.grow(frame.assign(age="old"), FRESH_Y, 3)
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"age": "years"}))
    with pytest.raises(ValueError, match="pass a frame with the same columns"):
        model.predict(frame[["age"] * 5].to_numpy())
    with pytest.raises(TypeError, match="is of type datetime64"):
        model.fit(frame.assign(age=pd.Timestamp("2026-01-01")), FRESH_Y)
    with pytest.raises(ValueError, match="only a table may have"):
        small(regions=ImagePatches((1, 1, 5), patch_size=1)).fit(frame, FRESH_Y)
    np.testing.assert_array_equal(model.predict_proba(frame), expected)


def test_one_row_with_a_gap_in_a_column_of_numbers(fitted):
    frame = pd.DataFrame(FRESH).head(1).assign(income=None, age=None).astype(object)
    assert np.isfinite(fitted.predict_proba(frame)).all()


@pytest.mark.slow
def test_numbers_in_a_column_of_objects_are_numbers(brief):
    frame = pd.DataFrame(DATA).astype({"age": object, "income": object})
    again = clone(brief).fit(frame, Y)
    np.testing.assert_array_equal(again.predict_proba(frame), brief.predict_proba(frame))
    explicit = (
        pd.DataFrame(DATA).assign(code=[1, 2, 3] * 300).astype({"code": "category"})
    )
    assert len(small(max_iter=1).fit(explicit, Y)._state.inputs.table.categories[-1]) == 3


def test_the_scaler_keeps_gaps_apart():
    X = np.array([[0.0, 1], [np.nan, 2], [1, 3], [2, 4]])
    scaler = fit_scaler(X, np.ones(4), shared_scale=False)
    scaled = scaler.transform(X)
    assert scaled[1, 0] == MISSING
    assert scaler.transform(np.full((1, 2), np.nan)).tolist() == [[MISSING, 0.0]]
    kept = fit_scaler(X[[0, 2, 3]], np.ones(3), shared_scale=False)
    expected = kept.transform(X[[0, 2, 3]])[:, 0]
    np.testing.assert_array_equal(scaled[[0, 2, 3], 0], expected)
