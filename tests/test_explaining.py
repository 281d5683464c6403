"""Terms: names, contributions that sum up, importances."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

import skgrow
from skgrow import GrowingNAMClassifier, ImagePatches

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


@pytest.mark.parametrize("wrong", [["x9"], ["x0", "x1", "x2", "x0 & x1"], "x0 & x9"])
def test_only_terms_can_be_removed_and_not_all(wrong):
    nam, X, _ = removable()
    wrong = nam.term_names_ if len(wrong) == 4 else wrong
    before = nam.decision_function(X)
    with pytest.raises(ValueError, match="must be some of the terms"):
        nam.remove_terms(wrong)
    np.testing.assert_array_equal(nam.decision_function(X), before)
