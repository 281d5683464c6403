"""Pictures: what is drawn, where, and with which words. The data has its own tests."""

import warnings
from time import process_time

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from sklearn.datasets import load_breast_cancer, load_digits, load_iris

from skgrow import GrowingMLPClassifier, GrowingNAMClassifier, ImagePatches
from skgrow.inputs.tables import RARE_ROWS
from skgrow.plotting import GrowthDisplay, ImportanceDisplay, RegionDisplay, TermDisplay

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def table(n=600):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "age": rng.uniform(18, 90, n), "income": rng.lognormal(9, 1, n),
            "town": rng.choice(["a very long name of a town indeed", "Bern", "Rome"], n),
        }
    )  # fmt: skip
    frame.loc[rng.rand(n) < 0.1, "age"] = None
    y = np.where((frame["age"] > 50) ^ (frame["town"] == "Bern"), "yes", "no")
    return frame, y


FRAME, Y = table()


@pytest.fixture(scope="module")
def nam():
    nam = GrowingNAMClassifier(max_iter=40, n_verified=200, round_size=5, random_state=0)
    return nam.fit(FRAME, Y).grow(FRAME, Y, 10)


@pytest.mark.slow
def test_every_term_can_be_drawn(nam):
    found = nam.explain_global(FRAME)["terms"]
    assert len(found) >= 6
    for term in found:
        display = TermDisplay.from_estimator(nam, FRAME, term["term"])
        ax = display.ax_
        labels = [ax.get_xlabel(), ax.get_ylabel()]
        label = "adds to yes (logits)"
        if term["term"] == "town":  # bars lie
            assert labels == [label, "town"]
        else:
            assert labels == [*term["columns"], label][:2]
        display.figure_.canvas.draw()


def test_a_curve_shows_the_data_of_explain_global(nam):
    term = next(t for t in nam.explain_global(FRAME)["terms"] if t["term"] == "age")
    ax = TermDisplay.from_estimator(nam, FRAME, "age").ax_
    curve = next(line for line in ax.lines if len(line.get_xdata()) == 32)
    np.testing.assert_allclose(curve.get_xdata(), term["values"][0][:-1])
    np.testing.assert_allclose(curve.get_ydata(), term["contribution"][:-1])
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["missing"]
    assert ax.get_ylabel() == "adds to yes (logits)"


def bars(ax):
    """Names and lengths of bars that lie, from top to bottom."""
    order = np.argsort(-ax.get_yticks())
    names = [ax.get_yticklabels()[i].get_text() for i in order]
    lengths = {bar.get_y() + bar.get_height() / 2: bar.get_width() for bar in ax.patches}
    return names, [lengths[place] for place in sorted(lengths, reverse=True)]


def test_bars_are_named_by_their_categories(nam):
    ax = TermDisplay.from_estimator(nam, FRAME, "town").ax_
    names, lengths = bars(ax)
    term = next(t for t in nam.explain_global(FRAME)["terms"] if t["term"] == "town")
    expected = dict(zip(term["values"][0], term["contribution"], strict=True))
    expected = {name[:23]: value for name, value in expected.items()}
    assert sorted(names) == ["Bern", "Rome", "a very long name of a t…"]
    np.testing.assert_allclose(lengths, [expected[name[:23]] for name in names])
    assert lengths == sorted(lengths, reverse=True)


def made_up_term(values, contribution, kind="category", n_values=None):
    return {
        "term": "size", "features": (0,), "columns": ("size",), "kinds": (kind,),
        "values": [values], "n_values": (n_values or len(values),),
        "weights": [np.full(len(values), 1 / len(values))],
        "contribution": np.array(contribution), "error": None,
    }  # fmt: skip


def test_categories_with_an_order_are_drawn_in_it():
    values, effects = ["S", "M", "L", None], [0.1, 0.9, -1.0, 0.5]
    names, lengths = bars(
        TermDisplay(made_up_term(values, effects, "ordered")).plot().ax_
    )
    assert names == ["S", "M", "L", "missing"]
    np.testing.assert_allclose(lengths, effects)
    names, lengths = bars(TermDisplay(made_up_term(values, effects)).plot().ax_)
    assert names == ["M", "S", "L", "missing"]
    np.testing.assert_allclose(lengths, [0.9, 0.1, -1.0, 0.5])


def test_categories_that_are_numbers_have_bars():
    rng = np.random.RandomState(0)
    frame = pd.DataFrame({"level": pd.Categorical(rng.choice([1.5, 2.5, 10.0], 400))})
    nam = GrowingNAMClassifier("features", curves=True, max_iter=2, random_state=0)
    nam.fit(frame, frame["level"].astype(float) == 2.5)
    names, lengths = bars(TermDisplay.from_estimator(nam, frame, "level").ax_)
    assert names[0] == "2.5"
    assert set(names) == {"1.5", "2.5", "10"}
    assert lengths == sorted(lengths, reverse=True)


def test_values_that_would_look_alike_are_told_apart():
    values = [1, "1", "missing", None, " ", "a rather long name of one"]
    values += [
        "a rather long name of the other",
        "x" * 30 + "1" * 12,
        "x" * 31 + "1" * 12,
    ]
    names, _ = bars(TermDisplay(made_up_term(values, -np.arange(9.0))).plot().ax_)
    expected = ["1", "'1'", "'missing'", "' '", "a rather long name of o…"]
    expected += ["a rather long name of t…", values[-2], values[-1], "missing"]
    assert names == expected
    importances = ImportanceDisplay(["z" * 60 + "1", "z" * 60 + "2"], np.ones(2)).plot()
    labels = [label.get_text() for label in importances.ax_.get_yticklabels()]
    assert len(set(labels)) == 2
    assert max(map(len, labels)) == 48


def test_a_pair_is_drawn_beside_the_names_of_its_columns():
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(rng.uniform(size=(400, 2)), columns=["salt & pepper", "oil"])
    y = (frame["oil"] > 0.5) ^ (frame["salt & pepper"] > 0.5)
    nam = GrowingNAMClassifier([[0, 1]], max_iter=2, random_state=0).fit(frame, y)
    [name] = nam.term_names_
    assert name == "salt & pepper & oil"
    for term in (name, ("oil", "salt & pepper"), (0, 1)):
        ax = TermDisplay.from_estimator(nam, frame, term).ax_
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("salt & pepper", "oil")


def test_a_map_has_categories_that_act_alike_side_by_side():
    first, second = list("abcdef"), [*"uvwxyz", None]
    up = np.array([1, -1, 1, -1, 1, -1.0])
    shape = np.outer(up, [1, 1, -1, -1, 1, -1, 0.5])
    term = {
        "term": "one & two", "features": (0, 1), "columns": ("one", "two"),
        "kinds": ("category", "category"), "values": [first, second],
        "n_values": (6, 6), "weights": [np.full(6, 1 / 6), np.full(7, 1 / 7)],
        "contribution": shape, "error": None,
    }  # fmt: skip
    ax = TermDisplay(term).plot().ax_
    across = [label.get_text() for label in ax.get_xticklabels()]
    upward = [label.get_text() for label in ax.get_yticklabels()]
    assert {frozenset(across[:3]), frozenset(across[3:])} == {
        frozenset("ace"), frozenset("bdf"),
    }  # fmt: skip
    assert upward[-1] == "missing"
    assert {frozenset(upward[:3]), frozenset(upward[3:6])} == {
        frozenset("uvy"), frozenset("wxz"),
    }  # fmt: skip
    rows = [second.index(None if name == "missing" else name) for name in upward]
    columns = [first.index(name) for name in across]
    np.testing.assert_array_equal(
        ax.images[0].get_array(), shape[np.ix_(columns, rows)].T
    )
    ordered = TermDisplay({**term, "kinds": ("ordered", "ordered")}).plot().ax_
    assert [label.get_text() for label in ordered.get_xticklabels()] == first


@pytest.mark.slow
def test_a_column_of_many_categories_shows_the_most_frequent_and_says_so():
    """In two seconds, whatever the other columns hold; `test_explaining` has memory."""
    rng = np.random.RandomState(0)
    n_rows = 2500
    frame = pd.DataFrame(
        {
            "town": [f"t{i}" for i in (rng.exponential(25, n_rows)).astype(int)],
            "id": [f"{i:05d}" for i in rng.permutation(n_rows)],
            "size": rng.uniform(size=n_rows),
        }
    )
    y = ((frame["town"] < "t2") ^ (frame["size"] > 0.5)).to_numpy()
    pairs = [[0, 1], [1, 2], [2, 0]]
    nam = GrowingNAMClassifier(pairs, curves=True, max_iter=2, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the column of row numbers is left out
        nam.fit(frame, y)
    for name in nam.term_names_:
        start = process_time()
        TermDisplay.from_estimator(nam, frame, name).figure_.canvas.draw()
        assert process_time() - start < 2
    for term, axis in (("town", "y"), ("town & size", "x")):
        ax = TermDisplay.from_estimator(nam, frame, term).ax_
        name, note = getattr(ax, f"get_{axis}label")().split("\n")
        assert name == "town"
        assert note.startswith("(40 of ")
        assert note.endswith(" values, the most frequent)")
        labels = getattr(ax, f"get_{axis}ticklabels")()
        assert "t0" in [label.get_text() for label in labels]
        assert len(labels) == 40
    ax = TermDisplay.from_estimator(nam, frame, "town", max_categories=5).ax_
    town = frame["town"]
    rare = town.value_counts().loc[lambda counts: counts < RARE_ROWS].index
    pooled = town.where(~town.isin(rare), f"{len(rare)} rare values")
    assert set(bars(ax)[0]) == set(pooled.value_counts().index[:5])


def test_a_map_is_symmetric_around_zero(nam):
    ax = TermDisplay.from_estimator(nam, FRAME, "age & town").ax_
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert ax.get_xticklabels()[-1].get_text() == "missing"
    assert len(ax.get_yticklabels()) == 3


def test_users_axes_are_drawn_on(nam):
    _, axes = plt.subplots(1, 3)
    displays = (
        TermDisplay.from_estimator(nam, FRAME, "town", ax=axes[0]),
        ImportanceDisplay.from_estimator(nam, FRAME, n_terms=4, ax=axes[1]),
        GrowthDisplay.from_estimator(nam, ax=axes[2]),
    )
    for display, ax in zip(displays, axes, strict=True):
        assert display.ax_ is ax
        assert display.figure_ is ax.figure
    assert len(plt.get_fignums()) == 1
    assert len(axes[1].patches) == 4
    n_branches = axes[2].lines[0].get_xdata()
    assert list(n_branches) == [r["n_branches"] for r in nam.growth_history_]
    again = displays[0].plot()
    assert again.ax_ is not axes[0]


def test_the_most_important_term_is_on_top(nam):
    ax = ImportanceDisplay.from_estimator(nam, FRAME).ax_
    names = [label.get_text() for label in ax.get_yticklabels()]
    importances = nam.term_importances(FRAME)
    assert names[-1] == nam.term_names_[importances.argmax()]


def test_three_classes_need_a_class():
    X, y = load_iris(return_X_y=True, as_frame=True)
    nam = GrowingNAMClassifier("features", max_iter=5, random_state=0).fit(X, y)
    name = X.columns[0]
    ax = TermDisplay.from_estimator(nam, X, name, target=2).ax_
    assert ax.get_ylabel() == "adds to 2 (logits)"
    with pytest.raises(
        ValueError, match=r"target=None is not one of the classes: \[0, 1"
    ):
        TermDisplay.from_estimator(nam, X, name)


def test_wrong_names(nam):
    with pytest.raises(ValueError, match="term='size' is not one of the terms"):
        TermDisplay.from_estimator(nam, FRAME, "size")
    with pytest.raises(ValueError, match="target='maybe' is not one of the classes"):
        TermDisplay.from_estimator(nam, FRAME, "age", target="maybe")
    other = TermDisplay.from_estimator(nam, FRAME, "age", target="no")
    same = TermDisplay.from_estimator(nam, FRAME, "age", target="yes")
    np.testing.assert_allclose(other.term["contribution"], -same.term["contribution"])
    base = GrowingNAMClassifier(max_iter=1, random_state=0).fit(FRAME, Y)
    with pytest.raises(ValueError, match="has not grown yet"):
        GrowthDisplay.from_estimator(base)


def test_rounds_that_were_taken_back_are_drawn_where_they_stood():
    def rounds(*counts):
        return [
            {"n_branches": n, "n_picked": 5, "loss": 1 / (i + 1), "held_out_loss": 1.0}
            for i, n in enumerate(counts)
        ]

    ax = GrowthDisplay(rounds(5, 10, 15, 5)).plot().ax_  # 20 at last, and 15 too many
    assert list(ax.lines[0].get_xdata()) == [5, 10, 15, 20]
    assert list(ax.lines[-1].get_xdata()) == [5, 5]
    assert ax.get_legend().get_texts()[-1].get_text() == "kept: 5"
    plain = GrowthDisplay(rounds(5, 10)).plot().ax_
    assert [line.get_label() for line in plain.lines] == ["selection rows", "held out"]


def test_a_dense_network_shows_its_passes():
    X, y = load_breast_cancer(return_X_y=True)
    mlp = GrowingMLPClassifier((4,), max_iter=7, early_stopping=True, random_state=0)
    ax = GrowthDisplay.from_estimator(mlp.fit(X, y)).ax_
    assert list(ax.lines[0].get_ydata()) == mlp.loss_curve_
    assert list(ax.lines[1].get_ydata()) == mlp.validation_curve_
    assert [line.get_xdata()[0] for line in ax.lines[2:]] == [3, 6]
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["training rows", "held out", "growth by GradMax"]


@pytest.mark.slow
def test_thirty_terms_can_be_drawn():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X = X.iloc[:, :10]
    nam = GrowingNAMClassifier(max_iter=3, n_replicas=2, random_state=0).fit(X, y)
    found = nam.explain_global(X)["terms"]
    assert len(found) >= 30
    for term in found:
        TermDisplay(term, "benign").plot().figure_.canvas.draw()
        plt.close("all")


def test_bands_are_two_errors_wide(nam):
    term = next(t for t in nam.explain_global(FRAME)["terms"] if t["term"] == "age")
    ax = TermDisplay.from_estimator(nam, FRAME, "age").ax_
    [band] = ax.collections
    low = term["contribution"] - 2 * term["error"]
    drawn = band.get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose(drawn.min(), low[:-1].min())


def test_the_map_counts_pixels_of_grown_branches():
    X, y = load_digits(return_X_y=True)
    patches = ImagePatches((1, 8, 8), patch_size=3, stride=5)
    nam = GrowingNAMClassifier(patches, max_iter=5, n_verified=200, random_state=0)
    nam.fit(X, y).grow(X, y, 12)
    display = RegionDisplay.from_estimator(nam)
    assert display.counts.shape == (8, 8)
    assert display.counts.sum() == 9 * nam.n_branches_
    parts = [RegionDisplay.from_estimator(nam, target=t).counts for t in nam.classes_]
    np.testing.assert_array_equal(np.sum(parts, axis=0), display.counts)
    with pytest.raises(ValueError, match=r"target='x' is not one of"):
        RegionDisplay.from_estimator(nam, target="x")


def test_the_map_needs_an_image(nam):
    with pytest.raises(ValueError, match="regions='auto'"):
        RegionDisplay.from_estimator(nam)
