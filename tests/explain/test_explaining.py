"""Terms: names, contributions that sum up, importances."""

import tracemalloc
import warnings
from time import process_time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

import skgrow
from skgrow import GrowingNAMClassifier, GrowingNAMRegressor, ImagePatches
from skgrow.explain.shape_functions import axes_of, purified
from skgrow.explain.terms import TermNames

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")


def interaction(n=1500, seed=0):
    """A frame in which a pair and one column matter, and another column does not."""
    rng = np.random.RandomState(seed)
    frame = pd.DataFrame(rng.uniform(-1, 1, size=(n, 4)), columns=list("abcd"))
    y = np.where(3 * frame["a"] * frame["b"] + frame["c"] > 0, "yes", "no")
    return frame, y


FRAME, Y = interaction()


@pytest.fixture(scope="module")
def binary():
    nam = GrowingNAMClassifier(max_iter=60, n_verified=300, random_state=0)
    return nam.fit(FRAME, Y).grow(FRAME, Y, 15)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    patches = ImagePatches((1, 8, 8), patch_size=3, stride=2)
    nam = GrowingNAMClassifier(
        patches, hidden_layer_sizes=(8, 8), max_iter=5, random_state=0
    )
    return X, nam.fit(X, y).grow(X, y, 12)


def test_terms_and_intercept_sum_to_the_scores(binary, digits):
    terms = binary.eval_terms(FRAME)
    intercept = binary.intercept_[1] - binary.intercept_[0]
    assert terms.shape == (1500, len(binary.term_names_))
    np.testing.assert_allclose(
        terms.sum(axis=1) + intercept, binary.decision_function(FRAME), atol=1e-9
    )
    X, nam = digits
    terms = nam.eval_terms(X)
    assert terms.shape == (len(X), len(nam.term_features_), 10)
    np.testing.assert_allclose(
        terms.sum(axis=1) + nam.intercept_, nam.decision_function(X), atol=1e-9
    )


def test_a_term_depends_on_its_own_columns_alone(binary):
    before = binary.eval_terms(FRAME)
    moved = FRAME.assign(a=FRAME["a"].sample(frac=1, random_state=0).to_numpy())
    changed = np.abs(binary.eval_terms(moved) - before).max(axis=0) > 1e-12
    assert changed.tolist() == [0 in term for term in binary.term_features_]


def test_names(binary, digits):
    names = binary.term_names_
    assert names[:4] == list("abcd")
    assert "a & b" in names
    assert len(set(names)) == len(names)
    features = binary.term_features_
    assert [" & ".join("abcd"[j] for j in term) for term in features] == names
    _, nam = digits
    assert nam.term_names_[0] == "x0 & ... & x18 (9 columns)"
    assert len(nam.term_names_) > 9  # growth found new places


def test_importances_tell_what_matters(binary):
    importance = dict(
        zip(binary.term_names_, binary.term_importances(FRAME), strict=True)
    )
    assert importance["c"] > 3 * importance["d"]
    assert importance["a & b"] == max(importance.values())
    half = np.arange(1500) < 750
    by_weight = binary.term_importances(FRAME, sample_weight=half)
    by_rows = binary.term_importances(FRAME[half])
    np.testing.assert_allclose(by_weight, by_rows, atol=1e-12)


def test_importances_ignore_what_all_classes_get(digits):
    X, nam = digits
    importance = nam.term_importances(X)
    assert importance.shape == (len(nam.term_names_),)
    assert (importance > 0).all()


def test_local_explanations(binary, digits):
    rows = binary.explain_local(FRAME[:3])
    terms = binary.eval_terms(FRAME[:3])
    for row, values in zip(rows, terms, strict=True):
        found = [term["contribution"] for term in row]
        assert np.abs(found).tolist() == sorted(np.abs(values).tolist(), reverse=True)
        assert row[0]["term"] == binary.term_names_[np.abs(values).argmax()]
    X, nam = digits
    [row] = nam.explain_local(X[:1])
    assert list(row[0]["contribution"]) == list(range(10))


def test_global_shapes_sum_to_the_scores_on_the_grid(binary):
    """On rows that lie on the grid: few distinct values of each column."""
    rng = np.random.RandomState(0)
    rows = pd.DataFrame(
        rng.choice([-0.9, -0.2, 0.1, 0.7], size=(300, 4)), columns=list("abcd")
    )
    found = binary.explain_global(rows)
    total = np.full(300, found["intercept"])
    for term in found["terms"]:
        place = [
            np.searchsorted(values, rows.iloc[:, j])
            for values, j in zip(term["values"], term["features"], strict=True)
        ]
        total += term["contribution"][tuple(place)]
    np.testing.assert_allclose(total, binary.decision_function(rows), atol=1e-9)


def test_global_shapes_are_pure(binary):
    found = binary.explain_global(FRAME)
    terms = {term["term"]: term for term in found["terms"]}
    assert list(terms)[:4] == list("abcd")
    for term in terms.values():
        shape, weights = term["contribution"], term["weights"]
        assert shape.shape == tuple(map(len, term["values"]))
        for axis, weight in enumerate(weights):
            assert weight.sum() == pytest.approx(1)
            mean = np.tensordot(weight, shape, axes=(0, axis))
            np.testing.assert_allclose(mean, 0, atol=1e-9)
    # y is made of a * b and c: the pair rises where the signs agree, c rises.
    pair = terms["a & b"]["contribution"]
    assert pair[0, 0] > 0.5 < pair[-1, -1]
    assert pair[0, -1] < -0.5 > pair[-1, 0]
    assert terms["c"]["contribution"][-1] > terms["c"]["contribution"][0] + 1
    assert np.ptp(terms["a"]["contribution"]) < 0.5 * np.ptp(pair)


def test_global_shapes_of_categories_gaps_and_classes():
    rng = np.random.RandomState(0)
    frame = pd.DataFrame({"town": rng.choice(["x", "y", "z"], 400), "age": rng.rand(400)})
    frame.loc[:40, "age"] = None
    y = np.where(frame["town"] == "x", "a", np.where(frame["age"] > 0.5, "b", "c"))
    nam = GrowingNAMClassifier(max_iter=40, random_state=0).fit(frame, y)
    found = nam.explain_global(frame, n_points=8)
    assert set(found["intercept"]) == {"a", "b", "c"}
    town, age = found["terms"][:2]
    assert sorted(town["values"][0]) == ["x", "y", "z"]
    assert town["contribution"].shape == (3, 3)
    best = town["contribution"][:, 0].argmax()
    assert town["values"][0][best] == "x"
    assert age["values"][0][-1] is None
    assert age["weights"][0][-1] == pytest.approx(41 / 400)


def test_global_shapes_of_images_are_refused(digits):
    X, nam = digits
    with pytest.raises(ValueError, match="terms of 9"):
        nam.explain_global(X)


def test_before_fit_and_bad_input(binary):
    nam = GrowingNAMClassifier()
    with pytest.raises(NotFittedError):
        nam.eval_terms(FRAME)
    assert not hasattr(nam, "term_names_")
    with pytest.raises(ValueError, match="feature names"):
        binary.eval_terms(FRAME[["b", "a", "c", "d"]])


def removable():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(900, 3))
    y = (X[:, 0] * X[:, 1] + 0.3 * X[:, 2] > 0).astype(int)
    nam = GrowingNAMClassifier(max_iter=10, n_verified=100, random_state=0)
    return nam.fit(X, y).grow(X, y, 5), X, y


def test_a_removed_term_is_gone_and_nothing_else():
    nam, X, _ = removable()
    terms, before = nam.eval_terms(X), nam.decision_function(X)
    names = ["x1", "x0 & x1"]
    place = [nam.term_names_.index(name) for name in names]
    nam.remove_terms(names)
    assert not set(names) & set(nam.term_names_)
    expected = before - terms[:, place].sum(axis=1)
    np.testing.assert_allclose(nam.decision_function(X), expected, atol=1e-9)
    total = nam.eval_terms(X).sum(axis=1) + nam.intercept_ @ [-1, 1]
    np.testing.assert_allclose(nam.decision_function(X), total, atol=1e-9)


def test_a_network_without_its_pairs_predicts_is_saved_and_grows(tmp_path):
    nam, X, y = removable()
    pairs = [name for name in nam.term_names_ if "&" in name]
    nam.remove_terms(pairs)
    assert nam.n_branches_ == 0
    assert nam.term_names_ == ["x0", "x1", "x2"]
    skgrow.save(nam, tmp_path / "nam")
    loaded = skgrow.load(tmp_path / "nam")
    np.testing.assert_array_equal(loaded.predict_proba(X), nam.predict_proba(X))
    assert nam.grow(X, y, 5).n_branches_ > 0


@pytest.mark.slow
@pytest.mark.parametrize("wrong", [["x9"], ["x0", "x1", "x2", "x0 & x1"], "x0 & x9"])
def test_only_terms_can_be_removed_and_not_all(wrong):
    nam, X, _ = removable()
    wrong = nam.term_names_ if len(wrong) == 4 else wrong
    before = nam.decision_function(X)
    with pytest.raises(ValueError, match=r"is not one of the terms|and not all of them"):
        nam.remove_terms(wrong)
    np.testing.assert_array_equal(nam.decision_function(X), before)


def test_a_tuple_is_not_taken_for_a_list_of_terms():
    nam, X, _ = removable()
    with pytest.raises(ValueError, match=r"\[\('x0', 'x1'\)\] is the term of"):
        nam.remove_terms(("x0", "x1"))
    terms, before = nam.eval_terms(X), nam.decision_function(X)
    expected = before - terms[:, nam.term_names_.index("x0 & x1")]
    nam.remove_terms([("x1", 0)])
    np.testing.assert_allclose(nam.decision_function(X), expected, atol=1e-9)


def alike():
    """A network with terms of "a & b" and of "a" and "b", which are not the same."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.uniform(-1, 1, (600, 3)), columns=["a & b", "a", "b"])
    y = 5 * frame["a & b"] + 3 * frame["a"] * frame["b"]
    nam = GrowingNAMRegressor([[1, 2]], curves=True, max_iter=20, random_state=0)
    return nam.fit(frame, y), frame


@pytest.mark.parametrize(
    ("wanted", "term"),
    [("'a & b'", (0,)), ("'a' & 'b'", (1, 2)), (("b", "a"), (1, 2)), (("a & b",), (0,))],
)
def test_terms_of_columns_that_are_called_like_others(wanted, term):
    nam, frame = alike()
    assert nam.term_names_ == ["'a & b'", "a", "b", "'a' & 'b'"]
    place = nam.term_features_.index(term)
    [shape] = nam.explain_global(frame, terms=wanted)["terms"]
    assert (shape["term"], shape["features"]) == (nam.term_names_[place], term)
    assert shape["columns"] == tuple(frame.columns[list(term)])
    expected = nam.predict(frame) - nam.eval_terms(frame)[:, place]
    nam.remove_terms([wanted])
    assert term not in nam.term_features_
    np.testing.assert_allclose(nam.predict(frame), expected, atol=1e-9)


def test_a_name_that_can_mean_two_terms_is_refused():
    nam, frame = alike()
    before = nam.predict(frame)
    for removed in ([], ["'a' & 'b'"]):  # also when only one of them is left
        if removed:
            nam.remove_terms(removed)
            before = nam.predict(frame)
        with pytest.raises(ValueError, match="term='a & b' can mean several") as error:
            nam.remove_terms("a & b")
        assert "('a & b',)" in str(error.value)
        assert "('a', 'b')" in str(error.value)
        np.testing.assert_array_equal(nam.predict(frame), before)
    with pytest.raises(ValueError, match=r"'c' names no column"):
        nam.explain_global(frame, terms=("a", "c"))


def test_names_of_many_columns_that_begin_and_end_alike():
    rng = np.random.RandomState(0)
    X = rng.uniform(size=(300, 6))
    regions = [[0, 1, 2, 5], [0, 3, 4, 5], [1, 2, 3, 4]]
    nam = GrowingNAMRegressor(regions, max_iter=5, random_state=0).fit(X, X[:, 3])
    names = nam.term_names_
    assert names == [
        "x0 & x1 & x2 & x5", "x0 & x3 & x4 & x5", "x1 & ... & x4 (4 columns)",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="can mean several"):
        nam.remove_terms("x0 & ... & x5 (4 columns)")
    expected = nam.predict(X) - nam.eval_terms(X)[:, 0]
    np.testing.assert_allclose(nam.remove_terms(names[0]).predict(X), expected, atol=1e-9)


words = st.text("ab& '.", min_size=1, max_size=6)


@given(st.lists(words, min_size=1, max_size=5), st.data())
def test_any_names_are_different_and_mean_what_they_name(columns, data):
    """Names that quote each other may be refused, and mean no other term."""
    term = st.sets(st.integers(0, len(columns) - 1), min_size=1, max_size=4)
    terms = data.draw(st.lists(term.map(sorted).map(tuple), min_size=1, unique=True))
    names = TermNames(columns)
    assert len(set(names.of(terms))) == len(terms)
    for name, columns_of in zip(names.of(terms), terms, strict=True):
        try:
            assert names.find(name, terms) == columns_of
        except ValueError as error:
            assert "can mean several" in str(error)  # noqa: PT017
        assert names.find(columns_of, terms) == columns_of
    is_plain = not any(mark in "".join(columns) for mark in "'&.")
    if is_plain and len(set(columns)) == len(columns):
        assert [names.find(name, terms) for name in names.of(terms)] == terms


def many_categories(n=3000):
    """Two columns of all-different text, which do not help, and two that do."""
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "id": [f"{i:05d}" for i in rng.permutation(n)],
            "code": [f"{i:05x}" for i in rng.permutation(n)],
            "size": rng.uniform(size=n), "kind": rng.choice(list("uvw"), n),
        }
    )  # fmt: skip
    y = ((frame["kind"] == "u") ^ (frame["size"] > 0.5)).to_numpy()
    pairs = [[0, 1], [0, 2], [1, 3], [2, 3]]
    nam = GrowingNAMClassifier(pairs, curves=True, max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that columns are left out
        return nam.fit(frame, y), frame


def test_a_term_is_computed_from_its_own_numbers():
    """Of a pair of columns of thousands of values a table would take 300 MiB."""
    nam, frame = many_categories()
    assert "id & code" in nam.term_names_
    for name in nam.term_names_:
        tracemalloc.start()
        start = process_time()
        [shape] = nam.explain_global(frame, terms=name)["terms"]
        seconds, peak = process_time() - start, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seconds < 2
        assert peak < 2**26
        assert shape["term"] == name
        for values, n_values in zip(shape["values"], shape["n_values"], strict=True):
            assert len(values) == min(n_values, 40 if isinstance(values[0], str) else 32)


def test_one_term_is_as_among_all():
    nam, frame = many_categories(900)
    whole = nam.explain_global(frame)["terms"]
    assert len(whole) == 8  # six terms, and two columns of theirs alone
    for term in whole:
        found = nam.explain_global(frame, terms=[term["features"]])
        assert found["intercept"] is None
        [one] = found["terms"]
        np.testing.assert_allclose(one["contribution"], term["contribution"], atol=1e-9)
        assert one["values"] == term["values"]


@pytest.mark.parametrize("max_categories", [3, 40, None])
def test_shapes_of_categories_sum_to_the_scores(max_categories):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "size": rng.choice([1.0, 2.0, 4.0], 3000),
            # 45 towns, none of so few rows that it is pooled with others
            "town": [f"t{i}" for i in rng.exponential(25, 3000).astype(int).clip(max=44)],
            "kind": rng.choice(["u", "v", None], 3000),
        }
    )
    y = (frame["kind"] == "u") ^ (frame["size"] > 1) ^ (frame["town"] < "t2")
    pairs = [[0, 1], [1, 2], [2, 0]]
    nam = GrowingNAMClassifier(pairs, curves=True, max_iter=5, random_state=0)
    nam.fit(frame, y)
    found = nam.explain_global(frame, max_categories=max_categories)
    shown = {t["term"]: t["values"][0] for t in found["terms"] if len(t["features"]) == 1}
    frequent = frame["town"].value_counts()
    if max_categories == 3:
        assert set(shown["town"]) == set(frequent.index[:3])
    rows = frame[frame["town"].isin(shown["town"])]
    rows = rows.astype(object).where(rows.notna(), None)
    total = np.full(len(rows), found["intercept"])
    for term in found["terms"]:
        columns = zip(term["columns"], term["values"], strict=True)
        place = [[values.index(v) for v in rows[c]] for c, values in columns]
        total += term["contribution"][tuple(place)]
        for column, values, weight in zip(
            term["columns"], term["values"], term["weights"], strict=True
        ):
            share = [
                frame[column].isna().mean() if v is None else (frame[column] == v).mean()
                for v in values
            ]
            np.testing.assert_allclose(weight, share)
    expected = nam.decision_function(frame.loc[rows.index])
    np.testing.assert_allclose(total, expected, atol=1e-9)


def test_means_over_many_categories():
    """200 that are not shown stand for all of them, the frequent ones for themselves."""
    rng = np.random.RandomState(0)
    counts = np.concatenate([np.full(30, 200), rng.randint(1, 4, 4970)])
    X = np.repeat(np.arange(5000.0), counts)[:, None]
    table = SimpleNamespace(labels=([str(i) for i in range(5000)],))
    axis = axes_of(X, [0], table, 32, 40)[0]
    assert len(axis.points) <= 240
    assert axis.weight.sum() == pytest.approx(1)
    assert set(axis.points[axis.shown][:30]) == set(range(30))
    np.testing.assert_allclose(axis.weight[axis.shown][:30], 200 / len(X))
    assert axis.weight @ axis.points == pytest.approx(X.mean(), rel=0.01)

    def blocks(term, grids):
        yield slice(None), np.sin(grids[0])[:, None]

    shapes, level = purified([(0,)], [(0,)], {0: axis}, blocks)
    np.testing.assert_allclose(shapes[(0,)] + level, np.sin(axis.points)[:, None])


def test_categories_with_an_order_are_listed_in_it():
    table = SimpleNamespace(labels=(["S", "M", "L"], ["c", "a"]), ordered=(True, False))
    X = np.array([[2.0, 1.0], [0.0, 0.0], [np.nan, 0.0]])
    size, kind = axes_of(X, [0, 1], table, 32, 40).values()
    assert (size.kind, size.labels) == ("ordered", ["S", "M", "L", None])
    assert (kind.kind, kind.labels) == ("category", ["c", "a"])


@pytest.mark.slow
def test_importances_of_many_rows_take_no_more_memory(binary, monkeypatch):
    expected = binary.term_importances(FRAME)
    weight = np.arange(len(FRAME)) % 3
    weighted = binary.term_importances(FRAME, weight)
    monkeypatch.setattr("skgrow.estimators.explaining.KEPT_BYTES", 0)
    np.testing.assert_allclose(binary.term_importances(FRAME), expected)
    np.testing.assert_allclose(binary.term_importances(FRAME, weight), weighted)
    rows = pd.concat([FRAME] * 40, ignore_index=True)
    n_bytes = 8 * len(rows) * len(expected)  # of all contributions
    tracemalloc.start()
    found = binary.term_importances(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(found, expected)
    assert peak < n_bytes


def test_an_ordered_column_of_a_frame_keeps_its_order():
    rng = np.random.RandomState(0)
    levels = ["small", "medium", "large", "huge"]
    sizes = pd.Categorical(rng.choice(levels, 600), levels, ordered=True)
    frame = pd.DataFrame({"size": sizes, "age": rng.uniform(size=600)})
    y = frame["size"].isin(["small", "large"]).to_numpy()
    nam = GrowingNAMClassifier(max_iter=2, random_state=0).fit(frame, y)
    [term] = nam.explain_global(frame, terms="size")["terms"]
    assert (term["kinds"], term["values"]) == (("ordered",), [levels])
    assert ((term["contribution"] > 0) == [True, False, True, False]).all()
