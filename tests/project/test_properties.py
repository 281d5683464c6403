"""Inputs that a machine thinks of: a right result, or a clear error and no change.

`pytest tests/project/test_properties.py --hypothesis-profile=long` tries many more.
"""

import tempfile
import traceback
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning

from skgrow import (
    ElectionTransferClassifier,
    GrowingMLPClassifier,
    GrowingMLPRegressor,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    GrowthStoppedWarning,
    ImagePatches,
)
from skgrow.files.persistence import digest
from skgrow.policies import Periodic

N_ROWS = 60
# What each fitted model grows by.
FITTED = {"nam": {"n_branches": 2}, "vote": {"n_branches": 2}, "dense": {"n_neurons": 2},
          "dense number": {"n_layers": 1}, "pixels": {"n_branches": 2},
          "pixel number": {"n_branches": 2}, "pixel vote": {"n_branches": 2}}  # fmt: skip
PIXELS = [kind for kind in FITTED if kind.startswith("pixel")]  # of float32
EXTREMES = [0.0, -0.0, 1.0, -1.0, 1e300, -1e300, 5e-324, 1e-310, 2.0**53, np.pi]
WRONG = [np.nan, np.inf, -np.inf]
# Whole columns, out of normal and uniform numbers and the largest number of the dtype.
COLUMNS = {
    "tiny": lambda x, u, most: x * 1e-308,
    "tiny in float32": lambda x, u, most: x * 1e-38,
    "subnormal": lambda x, u, most: np.round(3 * x) * 5e-324,
    "subnormal in float32": lambda x, u, most: np.round(3 * x) * 1.4e-45,
    "p-values": lambda x, u, most: np.exp(-745 * u),
    "huge": lambda x, u, most: (2 * u - 1) * most,
    "two ends": lambda x, u, most: np.where(u > 0.5, most, -most),
    "one huge": lambda x, u, most: np.where(u == u.max(), most, x),
    "one huge among tiny": lambda x, u, most: np.where(u == u.max(), most, x * 1e-308),
}


@cache
def fitted():
    """Models of three columns, never changed; all but "number" are fitted."""
    rng = np.random.RandomState(0)
    X = rng.randn(200, 3)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    nam = GrowingNAMClassifier(
        hidden_layer_sizes=(3,), max_iter=1, round_size=2, n_verified=20, random_state=0
    ).fit(X, y)
    vote = ElectionTransferClassifier(
        nam, n_branches=2, round_size=2, n_verified=20, random_state=0
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrowthStoppedWarning)
        vote.fit(X, y)
    number = GrowingNAMRegressor(
        hidden_layer_sizes=(3,), max_iter=1, n_replicas=2, batch_size=20, random_state=0
    )
    often = {"when": Periodic(every=1), "max_iter": 2, "batch_size": 20}
    dense = GrowingMLPClassifier((3,), early_stopping=True, random_state=0, **often)
    dense.fit(X, y)
    deep = GrowingMLPRegressor((3,), how="autogrow", random_state=0, **often)
    deep.fit(X, X[:, 0])
    return {
        "nam": nam, "vote": vote, "number": number, "dense": dense, "dense number": deep,
        **fitted_to_pixels(X.astype(np.float32), y),
    }  # fmt: skip


def fitted_to_pixels(X, y):
    patches = ImagePatches((1, 1, 3), patch_size=1, stride=1)
    small = {"round_size": 2, "n_verified": 20, "random_state": 0}
    nam, number = (
        estimator(patches, hidden_layer_sizes=(3,), max_iter=2, **small)
        for estimator in (GrowingNAMClassifier, GrowingNAMRegressor)
    )
    vote = ElectionTransferClassifier(nam.fit(X, y), patches, n_branches=2, **small)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrowthStoppedWarning)
        vote.fit(X, X[:, 0] > 0)
    return {"pixels": nam, "pixel number": number.fit(X, X[:, 0]), "pixel vote": vote}


def answers(model, X):
    return getattr(model, "decision_function", model.predict)(X)


def extreme_column(kind, dtype, n_rows, seed):
    rng = np.random.RandomState(seed)
    x, u = rng.randn(n_rows), rng.uniform(size=n_rows)
    return COLUMNS[kind](x, u, float(np.finfo(dtype).max))


@st.composite
def values(draw, n_rows):
    """A plain array of any kind of number, with values of any size."""
    dtype = draw(
        st.sampled_from(["f2", "f4", "f8", ">f8", "i1", "u1", "i2", "i8", "u8", "?"])
    )
    seed = draw(st.integers(0, 2**16))
    X = np.random.RandomState(seed).randn(n_rows, 3) * draw(
        st.sampled_from([1e-30, 1.0, 50.0])
    )
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        X = X.astype(dtype)
        if X.dtype.kind == "f":
            for j in range(3):
                kind = draw(st.sampled_from([None, *COLUMNS]))
                if kind is not None:
                    X[:, j] = extreme_column(kind, X.dtype, n_rows, seed + j)
        for place in draw(st.lists(st.integers(0, 3 * n_rows - 1), max_size=6)):
            few = EXTREMES if draw(st.integers(0, 9)) else WRONG
            value = draw(st.sampled_from(few))
            if X.dtype.kind == "f":
                X.flat[place] = value
    column = draw(st.sampled_from([None, None, 0, 2]))
    if column is not None:
        X[:, column] = X[0, column]  # constant
    if draw(st.booleans()):
        X[1:20] = X[0]  # duplicate rows
    return X


def on_disk(X):
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, X)
        return np.load(file.name, mmap_mode="r")


def mixed(X):
    """A frame with text, gaps and booleans beside numbers."""
    town = np.array(["a", "b", None, "ü"], dtype=object)[np.arange(len(X)) % 4]
    member = np.arange(len(X)) % 3 > 0
    number = X[:, 0].astype(X.dtype.newbyteorder("="))
    return pd.DataFrame({"town": town, "member": member, "number": number})


@st.composite
def tables(draw, n_rows=N_ROWS):
    """The same in any shape, order and container, some of them wrong."""
    X = draw(values(n_rows))
    how = draw(
        st.sampled_from(
            ["plain", "plain", "fortran", "strided", "read-only", "map", "frame",
             "odd names", "mixed", "object", "list", "one row less", "one column", "flat",
             "cube", "dates", "text", "empty"]
        )
    )  # fmt: skip
    if how == "fortran":
        return np.asfortranarray(X)
    if how == "strided":
        return np.repeat(X, 2, axis=0)[::2][:, ::-1]
    if how == "read-only":
        X.flags.writeable = False
        return X
    if how == "frame":
        return pd.DataFrame(X.astype(X.dtype.newbyteorder("=")), columns=list("abc"))
    if how == "odd names":
        names = ["", "a b", "ç[<]\n"]
        return pd.DataFrame(X.astype(X.dtype.newbyteorder("=")), columns=names)
    others = {
        "map": lambda: on_disk(X), "mixed": lambda: mixed(X),
        "object": lambda: X.astype(object), "list": X.tolist,
        "one row less": lambda: X[:-1], "one column": lambda: X[:, :1],
        "flat": X.ravel, "cube": lambda: X[None], "empty": lambda: X[:0],
        "dates": lambda: np.zeros(X.shape, dtype="datetime64[s]"),
        "text": lambda: X.astype(str).astype(object),
    }  # fmt: skip
    return others.get(how, lambda: X)()


@st.composite
def labels(draw, n_rows=N_ROWS):
    kind = draw(
        st.sampled_from(
            ["int", "int", "negative", "gaps", "str", "object", "bool", "float", "one",
             "continuous", "nan", "column", "short", "many", "huge"]
        )
    )  # fmt: skip
    n = np.random.RandomState(draw(st.integers(0, 99))).randint(3, size=n_rows)
    made = {
        "int": lambda: n % 2, "negative": lambda: n - 5, "gaps": lambda: n * 1000 - 7,
        "str": lambda: np.array(["a", "", "ü"])[n], "bool": lambda: n > 0,
        "object": lambda: np.array(["x", "y", "z"], dtype=object)[n],
        "float": lambda: n * 1.0, "one": lambda: n * 0, "continuous": lambda: n + 0.5,
        "nan": lambda: np.where(n > 0, n, np.nan), "column": lambda: n[:, None],
        "short": lambda: n[1:], "many": lambda: np.arange(n_rows),
        "huge": lambda: n * 1e300,
    }  # fmt: skip
    return made[kind]()


@st.composite
def weights(draw, n_rows=N_ROWS):
    kind = draw(
        st.sampled_from(
            ["none", "none", "ones", "zeros", "some", "huge", "tiny", "faint", "negative",
             "nan", "scalar", "short", "text"]
        )
    )  # fmt: skip
    u = np.random.RandomState(draw(st.integers(0, 99))).uniform(size=n_rows)
    made = {
        "none": None, "ones": np.ones(n_rows), "zeros": u * 0, "some": u * (u > 0.5),
        "huge": u * 1e300, "tiny": u * 1e-300, "negative": u - 0.5,
        "faint": np.where(u > 0.9, 1, 1e-60),
        "nan": np.where(u > 0.9, np.nan, u), "scalar": 2.0, "short": u[1:],
        "text": u.astype(str),
    }  # fmt: skip
    return made[kind]


def attempt(verb, *args, **kwargs):
    """The result, or the error when it is one meant for the user."""
    with warnings.catch_warnings():
        for category in (
            GrowthStoppedWarning, DataConversionWarning, ConvergenceWarning
        ):  # fmt: skip
            warnings.simplefilter("ignore", category)
        # scikit-learn's own, of names that differ, of many labels, of sums with inf.
        for message in ("feature names", "number of unique classes", "encountered in"):
            warnings.filterwarnings("ignore", message=f".*{message}")
        try:
            return verb(*args, **kwargs), None
        except (ValueError, TypeError) as caught:
            error = caught
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    assert "/torch/" not in last, "an internal error of torch reached the user"
    assert len(str(error)) > 10
    return None, error


def check_answers(model, X):
    """Right shapes, finite probabilities that sum to 1, labels among the classes."""
    if not hasattr(model, "classes_"):
        found, error = attempt(model.predict, X)
        assert error is not None or (
            found.shape == (len(X),) and np.isfinite(found).all()
        )
        return
    (labels, error), (proba, _) = (
        attempt(model.predict, X),
        attempt(model.predict_proba, X),
    )
    if error is not None:
        return
    n_rows = len(X)
    assert labels.shape == (n_rows,)
    assert np.isin(labels, model.classes_).all()
    assert proba.shape == (n_rows, len(model.classes_))
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*FITTED, "number"])
@given(X=tables(), y=labels(), weight=weights())
def test_fit(kind, X, y, weight):
    model = clone(fitted()[kind])
    _, error = attempt(model.fit, X, y, sample_weight=weight)
    if error is None:
        check_answers(model, X)
    else:
        assert not [name for name in vars(model) if name.endswith("_")]


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "grow"])
@pytest.mark.parametrize("kind", FITTED)
@given(X=tables(), y=labels(), weight=weights())
def test_a_fitted_model_takes_it_or_stays(kind, verb, X, y, weight):
    model = fresh(kind)
    before = digest(model)
    more = FITTED[kind] if verb == "grow" else {}
    _, error = attempt(getattr(model, verb), X, y, sample_weight=weight, **more)
    if error is None:
        check_answers(model, X)
    else:
        assert digest(model) == before


def fresh(kind):
    """A fitted model that may be changed: fitted state is never changed in place."""
    model = clone(fitted()[kind])
    vars(model).update(vars(fitted()[kind]))
    return model


@pytest.mark.slow
@pytest.mark.parametrize("kind", FITTED)
@given(X=tables())
def test_predict(kind, X):
    model = fitted()[kind]
    before = digest(model)
    check_answers(model, X)
    assert digest(model) == before


# scikit-learn's own: its check sums up X, and huge values of both signs make NaN there.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value encountered in reduce:RuntimeWarning")
@pytest.mark.parametrize("kind", FITTED)
@given(
    X=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 9), st.just(3)),
        elements=st.floats(allow_nan=False, allow_infinity=False),
    )
)  # fmt: skip
def test_predictions_of_a_row_do_not_depend_on_the_others(kind, X):
    model, close = fitted()[kind], {"rtol": 1e-9, "atol": 1e-12}
    if kind in PIXELS:
        most = np.finfo(np.float32).max
        X, close = X.clip(-most, most), {"rtol": 1e-4, "atol": 1e-3}
    whole = answers(model, X)
    assert np.isfinite(whole).all()
    rows = [answers(model, X[i : i + 1])[0] for i in range(len(X))]
    np.testing.assert_allclose(rows, whole, **close)
    np.testing.assert_array_equal(answers(model, np.asfortranarray(X)), answers(model, X))


# scikit-learn's own, as above.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*encountered in (reduce|accumulate):RuntimeWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", [*FITTED, "number"])
def test_whole_extreme_columns_are_learned_and_answered(kind, column, dtype):
    """No error, for all of it are numbers; and nothing but numbers comes back."""
    with np.errstate(under="ignore"):
        X = np.column_stack(
            [extreme_column(column, dtype, N_ROWS, seed) for seed in range(3)]
        ).astype(dtype)
    y = np.arange(N_ROWS) % 2
    model = clone(fitted()[kind])
    verbs = [("fit", {})] if kind == "number" else [
        ("fit", {}), ("partial_fit", {}), ("grow", FITTED[kind])
    ]  # fmt: skip
    for verb, more in verbs:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GrowthStoppedWarning)
            try:
                getattr(model, verb)(X, y, **more)
            except ValueError as error:
                if "too small to test anything" not in str(error):
                    raise
        found = answers(model, X)
        assert np.isfinite(found).all()
        assert np.isfinite(answers(model, -X[::-1])).all()


@pytest.mark.slow
@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_the_unit_of_a_column_does_not_matter(column, size):
    """By powers of two: nothing is rounded, where nothing is subnormal."""
    X = extreme_column(column, np.float32, N_ROWS, 0)[:, None]
    X = np.round(X / 2.0**-149) * 2.0**-149  # as float32 could hold it
    y = np.arange(N_ROWS) % 2
    model = GrowingNAMClassifier(max_iter=1, curves=True, random_state=0)
    expected = clone(model).fit(X, y).predict_proba(X)
    unit = 2.0 ** np.round(np.log2(size))
    found = clone(model).fit(X * unit, y).predict_proba(X * unit)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
