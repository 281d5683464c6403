"""What a table may be, column by column, and what every verb does with the others."""

import datetime
import warnings
from decimal import Decimal
from fractions import Fraction

import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.compose import make_column_transformer
from sklearn.exceptions import DataConversionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags

import skgrow
from skgrow import (
    ElectionTransferClassifier,
    GrowingMLPClassifier,
    GrowingMLPRegressor,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    ImagePatches,
    UnseenCategoryWarning,
)
from skgrow.inputs.frames import read_columns
from skgrow.inputs.tables import Table

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")
N = 200
RNG = np.random.RandomState(0)
NUMBERS = RNG.randn(N, 3)
Y = (NUMBERS[:, 0] + (NUMBERS[:, 1] > 0) > 0).astype(int)
GAPS = np.where(RNG.rand(N, 3) < 0.2, np.nan, NUMBERS)
TOWN = np.where(NUMBERS[:, 0] > 0, "Bern", "Oslo")
TABLE = {"age": GAPS[:, 0].tolist(), "town": TOWN.tolist()}
LIBRARIES = {"pandas": pd.DataFrame, "polars": pl.DataFrame}
SMALL = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
SOURCE = GrowingNAMClassifier("features", curves=False, **SMALL).fit(NUMBERS, Y)
ESTIMATORS = {
    "nam": GrowingNAMClassifier(**SMALL),
    "nam_regressor": GrowingNAMRegressor(**SMALL),
    "mlp": GrowingMLPClassifier(**SMALL),
    "mlp_regressor": GrowingMLPRegressor(**SMALL),
    "election": ElectionTransferClassifier(
        SOURCE, n_branches=3, n_verified=30, random_state=0
    ),
}
PIXELS = ImagePatches((1, 3, 3), patch_size=2)


def new(name, **parameters):
    return type(ESTIMATORS[name])(**{**ESTIMATORS[name].get_params(False), **parameters})


def classes_of(name):
    return {} if "regressor" in name else {"classes": [0, 1]}


def verbs_of(name, model):
    """Every verb that takes rows, as functions of `X` and `y`."""
    fresh = new(name)
    many = {"n_neurons": 1} if "mlp" in name else {"n_branches": 1}
    verbs = {
        "fit": lambda X, y: fresh.fit(X, y),
        "partial_fit, fresh": lambda X, y: fresh.partial_fit(X, y, **classes_of(name)),
        "partial_fit": lambda X, y: model.partial_fit(X, y),
        "grow": lambda X, y: model.grow(X, y, **many),
        "score": lambda X, y: model.score(X, y),
        "predict": lambda X, y: model.predict(X),
    }
    asked = ["predict_proba", "predict_log_proba", "decision_function", "eval_terms"]
    asked += ["explain_global", "explain_local", "term_importances"]
    for verb in asked:
        if hasattr(model, verb):
            verbs[verb] = lambda X, y, verb=verb: getattr(model, verb)(X)
    return verbs


def one(values, make=pd.DataFrame):
    return read_columns(make({"a": values}))[0]


# --------------------------------------------------------------------------- a column


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (["1234.5", " 7 ", "", "  "], [1234.5, 7, np.nan, np.nan]),
        (["-1", "+2.", ".5", "1e3", None], [-1, 2, 0.5, 1000, np.nan]),
        (["0", "0.5", "-0"], [0, 0.5, 0]),
    ],
)
def test_text_that_holds_numbers_is_numbers(library, text, numbers):
    np.testing.assert_array_equal(one(text, LIBRARIES[library]).numbers, numbers)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "text",
    [
        ["02139", "10001"],
        ["-01", "3"],
        ["1", "two"],
        ["", " "],
        ["nan", "1"],
        ["inf", "1"],
        ["1e999", "1"],
        ["1_000", "2"],
        ["1,5", "2"],
        ["0x1f", "2"],
        ["\u0663", "1"],
    ],
)
def test_text_that_holds_anything_else_stays_text(library, text):
    column = one(text, LIBRARIES[library])
    assert column.numbers is None
    assert column.values.tolist() == text


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_come_back_from_their_text(numbers):
    np.testing.assert_array_equal(one([repr(v) for v in numbers]).numbers, numbers)


def test_categoricals_stay_categories_whatever_they_hold():
    for values in (["1", "2"], [1, 2]):
        assert one(pd.Categorical(values)).values.tolist() == values
    assert one(pl.Series(["1"], dtype=pl.Categorical), pl.DataFrame).numbers is None


def test_ordered_categoricals_keep_their_order():
    for values in (["low", "high", "mid"], [3, 1, 2]):
        ordered = pd.Categorical(values, categories=values, ordered=True)
        assert one(ordered).levels == tuple(values)
        assert one(pd.Categorical(values)).levels is None
    words = ["low", "high", "mid"]
    assert one(pl.Series(words, dtype=pl.Enum(words)), pl.DataFrame).levels == (*words,)
    assert one(pl.Series(words, dtype=pl.Categorical), pl.DataFrame).levels is None


@pytest.mark.parametrize("library", LIBRARIES)
def test_decimals_are_numbers(library):
    column = one([Decimal("1.5"), None, Decimal("2.0")], LIBRARIES[library])
    np.testing.assert_array_equal(column.numbers, [1.5, np.nan, 2])


def test_numbers_of_several_kinds_in_one_column():
    column = one([1, "2.5", Fraction(1, 2), np.float32(3), Decimal("NaN"), " ", 10**400])
    np.testing.assert_array_equal(
        column.numbers, [1, 2.5, 0.5, 3, np.nan, np.nan, np.inf]
    )


def test_missing_values_of_every_kind():
    values = ["x", None, np.nan, pd.NA, pd.NaT, np.float32("nan"), True, 2]
    expected = ["x", None, None, None, None, None, True, 2]
    assert one(pd.Series(values, dtype=object)).values.tolist() == expected
    array = np.array(values, dtype=object)[:, None]
    assert read_columns(array)[0].values.tolist() == expected


@pytest.mark.parametrize(
    "dtype", ["int8", "uint64", "float16", "float32", "bool", "Int8", "boolean", "Sparse"]
)
def test_dtypes_of_numbers(dtype):
    column = one(pd.Series([0, 1]).astype("Sparse[float64]" if "S" in dtype else dtype))
    assert column.numbers.tolist() == [0, 1]
    assert column.numbers.dtype == np.float64
    assert column.dtype_name.startswith(dtype.lower())


DAY = datetime.date(2026, 1, 1)
WRONG = {
    "interval": pd.interval_range(0, 3),
    "cut": pd.cut([1, 5, 9], 3),
    "period": pd.period_range("2026", periods=3, freq="D"),
    "date": [DAY, DAY, None],
    "time": [datetime.time(1)] * 3,
    "timedelta": pd.timedelta_range(0, periods=3),
    "bytes": [b"a", b"b", None],
    "tuple": [(1, 2), (1, 3), None],
    "set": [{1}, {2}, None],
    "complex": [1j, 2, 3],
    "object": [object()] * 3,
}


@pytest.mark.parametrize("kind", WRONG)
def test_values_that_no_file_holds_are_refused_in_fit(kind):
    frame = pd.DataFrame({"a": [1.0, 2, 3], "b": WRONG[kind]})
    with pytest.raises(
        TypeError, match=r"column 'b' .*(no categories|neither).* drop it"
    ):
        GrowingNAMClassifier(**SMALL).fit(frame, [0, 1, 0])


@pytest.mark.parametrize("values", [[DAY] * 3, [b"a"] * 3, [[1], [2], [3]]])
def test_values_that_no_file_holds_are_refused_in_polars(values):
    with pytest.raises(
        TypeError, match=r"column 'b' .*(no categories|neither).* drop it"
    ):
        GrowingNAMClassifier(**SMALL).fit(pl.DataFrame({"b": values}), [0, 1, 0])


@pytest.mark.parametrize(
    "values",
    [
        pd.Categorical([Decimal("1.5"), Fraction(1, 2)] * 40),
        pd.Categorical(np.array([2**53, 2**53 + 1] * 40)),
        pd.Series([True, None] * 40, dtype=object),
        ["x", np.int64(3)] * 40,
    ],
)
def test_what_fits_can_be_saved(values, tmp_path):
    frame = pd.DataFrame({"a": values})
    nam = GrowingNAMClassifier(**SMALL).fit(frame, np.arange(80) % 2)
    skgrow.save(nam, tmp_path / "a")
    again = skgrow.load(tmp_path / "a")
    np.testing.assert_array_equal(again.predict_proba(frame), nam.predict_proba(frame))
    assert nam.predict(frame).tolist() == [0, 1] * 40


# --------------------------------------------------------------------- text of numbers


def test_a_column_of_text_numbers_is_the_column_of_numbers():
    """As `TotalCharges` of the Telco table, where eleven blanks make text of it."""
    text = ["" if v != v else repr(v) for v in TABLE["age"]]
    nam = GrowingNAMClassifier(**SMALL).fit(pd.DataFrame({**TABLE, "age": text}), Y)
    expected = GrowingNAMClassifier(**SMALL).fit(pd.DataFrame(TABLE), Y)
    row = pd.DataFrame({"age": ["7"], "town": ["Bern"]})
    for frame in (pd.DataFrame(TABLE), row, row.assign(age=" "), row.assign(age=7)):
        np.testing.assert_array_equal(
            nam.predict_proba(frame), expected.predict_proba(frame.replace({" ": None}))
        )
    for value in ("seven", "007"):
        with pytest.raises(TypeError, match=f"'age' held numbers in fit.*'{value}'"):
            nam.predict(row.assign(age=value))
        with pytest.raises(TypeError, match=f"'age' held numbers in fit.*'{value}'"):
            nam.partial_fit(row.assign(age=value), [0])


def test_text_of_numbers_needs_no_table():
    frame = pd.DataFrame(NUMBERS, columns=["a", "b", "c"])
    nam = GrowingNAMClassifier(**SMALL).fit(frame.astype(str), Y)
    assert nam._state.inputs.table is None
    np.testing.assert_array_equal(nam.predict(frame), nam.predict(frame.astype(str)))


def test_a_column_of_codes_stays_categories_at_predict():
    frame = pd.DataFrame({"zip": ["02139", "10001"] * 40})
    nam = GrowingNAMClassifier(**SMALL).fit(frame, np.arange(80) % 2)
    assert nam.predict(frame.tail(1)).tolist() == [1]
    assert nam.predict(frame.head(1)).tolist() == [0]
    with pytest.warns(UnseenCategoryWarning, match="'zip': 10001"):
        nam.predict(frame.tail(1).astype(int))


# -------------------------------------------------------------------- what is a table


def containers():
    """The same table, in all that holds it."""
    frame = pd.DataFrame(TABLE)
    yield frame
    yield pl.DataFrame(TABLE)
    yield pl.DataFrame(TABLE).lazy()
    yield nw.from_native(frame)
    yield frame.to_numpy()
    yield frame.to_numpy().tolist()
    yield frame.astype({"town": "category"})


@pytest.mark.parametrize("name", ESTIMATORS)
def test_all_containers_are_read_alike(name):
    expected = new(name).fit(pd.DataFrame(TABLE), Y)
    answer = expected.predict(pd.DataFrame(TABLE))
    for X in containers():
        model = new(name).fit(X, Y)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*feature names")
            np.testing.assert_array_equal(model.predict(X), answer)
            np.testing.assert_array_equal(expected.predict(X), answer)
        assert hasattr(model, "feature_names_in_") == (
            not isinstance(X, list | np.ndarray)
        )
        assert model.n_features_in_ == 2


def test_tables_of_pyarrow():
    pa = pytest.importorskip("pyarrow")
    expected = GrowingNAMClassifier(**SMALL).fit(pd.DataFrame(TABLE), Y)
    X = pa.table({**TABLE, "age": pa.array(TABLE["age"], from_pandas=True)})
    model = GrowingNAMClassifier(**SMALL).fit(X, Y)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    np.testing.assert_array_equal(
        expected.predict_proba(X), expected.predict_proba(pd.DataFrame(TABLE))
    )
    arrow = pd.DataFrame(TABLE).convert_dtypes(dtype_backend="pyarrow")
    np.testing.assert_array_equal(
        model.predict_proba(arrow), expected.predict_proba(arrow)
    )


@pytest.mark.parametrize("name", ESTIMATORS)
def test_frames_that_are_not_in_memory_are_refused(name):
    pytest.importorskip("pyarrow")
    dask = pytest.importorskip("dask.dataframe")
    X = dask.from_pandas(pd.DataFrame(TABLE), npartitions=2)
    for verb in verbs_of(name, new(name).fit(pd.DataFrame(TABLE), Y)).values():
        with pytest.raises(TypeError, match=r"DataFrame of dask.*X\.compute\(\)"):
            verb(X, Y)


def test_names_of_array_columns_in_messages():
    X = pd.DataFrame(TABLE).to_numpy()
    nam = GrowingNAMClassifier(**SMALL).fit(X, Y)
    assert not hasattr(nam, "feature_names_in_")
    wrong = X.copy()
    wrong[3, 0] = "old"
    with pytest.raises(TypeError, match="'x0' held numbers in fit; now it holds 'old'"):
        nam.predict(wrong)
    wrong = X.copy()
    wrong[:, 1] = "Rome"
    with pytest.warns(UnseenCategoryWarning, match="'x1': 'Rome'"):
        nam.predict(wrong)
    with pytest.raises(ValueError, match="X has 1 features, but"):
        nam.predict(X[:, :1])
    with pytest.raises(ValueError, match="an array of objects, got a ndarray of numbers"):
        nam.predict(NUMBERS[:, :2])


def test_masked_values_are_gaps():
    masked = np.ma.masked_array(NUMBERS, mask=np.isnan(GAPS))
    nam = GrowingNAMClassifier(**SMALL).fit(masked, Y)
    expected = GrowingNAMClassifier(**SMALL).fit(GAPS, Y)
    np.testing.assert_array_equal(nam.predict_proba(masked), expected.predict_proba(GAPS))


@pytest.mark.parametrize("names", [["a", "b", "a"], [1, 2, 1]])
def test_columns_of_one_name(names):
    frame = pd.DataFrame(NUMBERS, columns=names)
    nam = GrowingNAMClassifier(**SMALL).fit(NUMBERS, Y)
    for verb in verbs_of("nam", nam).values():
        with pytest.raises(ValueError, match=f"one column of the name '{names[0]}'"):
            verb(frame, Y)


# ------------------------------------------------------------------------------- gaps


@pytest.mark.parametrize("name", ESTIMATORS)
def test_arrays_with_gaps_are_frames_with_gaps(name):
    model = new(name).fit(GAPS, Y)
    framed = new(name).fit(pd.DataFrame(GAPS), Y)
    np.testing.assert_array_equal(model.predict(GAPS), framed.predict(pd.DataFrame(GAPS)))
    assert model._state.inputs.table is None
    for verb in verbs_of(name, model).values():
        verb(GAPS, Y)
    assert get_tags(model).input_tags.allow_nan


@pytest.mark.parametrize("name", ESTIMATORS)
def test_gaps_where_fit_saw_none_are_the_median(name):
    """In a frame of numbers and in an array."""
    frame = pd.DataFrame(NUMBERS, columns=["a", "b", "c"])
    low, middle, high = (
        _scores(new(name).fit(frame, Y), frame.assign(a=frame["a"].quantile(q)))
        for q in (0.1, 0.5, 0.9)
    )
    far = max(np.abs(low - middle).max(), np.abs(high - middle).max())
    gap = frame.assign(a=None)
    lost = pl.DataFrame(dict(zip("abc", NUMBERS.T, strict=True))).with_columns(
        a=pl.lit(None, dtype=pl.Float64)
    )
    model = new(name).fit(frame, Y)
    for X in (gap, frame.assign(a=np.nan), gap.astype(object), lost):
        assert np.abs(_scores(model, X) - middle).max() < far / 5
    array = NUMBERS.copy()
    array[:, 0] = np.nan
    model = new(name).fit(NUMBERS, Y)
    assert np.abs(_scores(model, array) - middle).max() < far / 5
    for verb in verbs_of(name, model).values():
        verb(array, Y)


def _scores(model, X):
    return getattr(model, "decision_function", model.predict)(X)


def test_the_output_of_a_column_transformer():
    frame = pd.DataFrame(TABLE).assign(b=GAPS[:, 1])
    scaled = (StandardScaler(), ["b"])
    whole = make_column_transformer(scaled, remainder="passthrough")  # objects
    numbers = make_column_transformer(scaled, ("passthrough", ["age"]))  # with NaN
    for columns in (whole, numbers):
        pipeline = make_pipeline(columns, GrowingNAMClassifier(**SMALL)).fit(frame, Y)
        assert pipeline.score(frame, Y) > 0.8


def test_pixels_may_not_be_missing():
    X = np.random.RandomState(0).rand(90, 9)
    y = (X[:, 4] > 0.5).astype(int)
    gap = X.copy()
    gap[5, 5] = np.nan
    source = GrowingNAMClassifier(PIXELS, **SMALL).fit(X, y)
    vote = ElectionTransferClassifier(
        source, regions=PIXELS, n_branches=0, n_verified=30, random_state=0
    )
    for model in (source, vote.fit(X, y)):
        assert not get_tags(model).input_tags.allow_nan
        expected = model.predict_proba(X)
        verbs = {
            "fit": lambda X, m=model: m.fit(X, y),
            "partial_fit": lambda X, m=model: m.partial_fit(X, y),
            "grow": lambda X, m=model: m.grow(X, y, 1),
            "predict": model.predict,
        }
        for verb in verbs.values():
            for rows in (gap, pd.DataFrame(gap), gap.astype(object)):
                with pytest.raises(
                    ValueError, match=r"missing values \(NaN\), which only"
                ):
                    verb(rows)
        np.testing.assert_array_equal(model.predict_proba(X), expected)
        assert get_tags(type(model)(source)).input_tags.allow_nan


# ----------------------------------------------------------- what is refused, and how


@pytest.mark.parametrize("name", ESTIMATORS)
def test_sparse_inputs_and_several_targets(name):
    for X in (NUMBERS, pd.DataFrame(TABLE)):
        model = new(name).fit(X, Y)
        for verb, does in verbs_of(name, model).items():
            with pytest.raises(TypeError, match=r"X is sparse.*pass X\.toarray\(\)"):
                does(sparse.csr_array(NUMBERS), Y)
            if "fit" in verb or verb == "grow":
                _check_targets(does, X)


def _check_targets(verb, X):
    twice = np.column_stack([Y, 1 - Y])
    for y in (twice, pd.DataFrame(twice), pl.DataFrame(twice), twice.tolist()):
        with pytest.raises(ValueError, match=r"shape \(200, 2\).*MultiOutput"):
            verb(X, y)
    with pytest.raises(TypeError, match=r"y is sparse.*ravel"):
        verb(X, sparse.csr_array(Y[:, None]))
    with pytest.warns(DataConversionWarning, match="column-vector"):
        verb(X, Y[:, None])


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("verb", ["fit", "partial_fit"])
def test_all_is_checked_before_a_table_is_learned(name, verb, monkeypatch):
    def learned(*args):
        raise AssertionError("learned from what was not checked")

    monkeypatch.setattr(Table, "of", learned)
    given = {} if verb == "fit" else classes_of(name)
    frame, ones = pd.DataFrame(TABLE), np.ones(N)
    negative, lost = ones.copy(), ones.copy()
    negative[3], lost[3] = -1, np.nan
    for weight, message in ((negative, "Negative values"), (lost, "NaN")):
        with pytest.raises(ValueError, match=message):
            getattr(new(name), verb)(frame, Y, sample_weight=weight, **given)
    with pytest.raises(ValueError, match="zero"):
        getattr(new(name), verb)(frame, Y, sample_weight=0 * ones, **given)
    with pytest.raises(ValueError, match="NaN"):
        getattr(new(name), verb)(frame, np.where(ones, np.nan, Y), **given)
    if given:
        with pytest.raises(ValueError, match="not seen in fit: \\[2\\]"):
            getattr(new(name), verb)(frame, 2 * Y, **given)
    if not name.endswith("regressor"):
        with pytest.raises(ValueError, match="Unknown label type: continuous"):
            new(name).fit(frame, NUMBERS[:, 0])
    if "class_weight" in new(name).get_params():
        with pytest.raises(ValueError, match="class_weight"):
            getattr(new(name, class_weight={0: -1.0}), verb)(frame, Y, **given)


# ------------------------------------------------------------------------------ order


@pytest.mark.parametrize("library", LIBRARIES)
def test_explanations_keep_the_order_of_ordered_categoricals(library):
    order = ["low", "mid", "high", "never"]
    values = np.array(order)[np.arange(N) % 3]
    y = np.arange(N) % 3 == 1  # by classes, "mid" would come first or last
    ordered = {
        "pandas": pd.DataFrame({"a": pd.Categorical(values, order, ordered=True)}),
        "polars": pl.DataFrame({"a": pl.Series(values, dtype=pl.Enum(order))}),
    }[library]
    nam = GrowingNAMClassifier(**SMALL).fit(ordered, y)
    assert nam.score(ordered, y) == 1
    (term,) = nam.explain_global(ordered)["terms"]
    assert term["values"] == [order[:3]]
