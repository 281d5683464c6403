"""TermDisplay: what one term of a network adds to the score."""

from __future__ import annotations

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skgrow.explain.plot_texts import LONGEST_NAME, short, short_names, value_names
from skgrow.explain.region_display import new_axes

__all__ = ["TermDisplay"]

# Named on an axis at most; of more, every so many. A category between two others can be
# any, so all are named while they can be read.
MAX_NUMBERS, MAX_NAMES = 12, 60
INCHES_A_NAME, MARGIN = 0.17, 6  # of a figure of our own; room beside, in names
FONT_POINTS, LEAST_POINTS = 10, 4


class TermDisplay:
    """Shape of one term: a curve or bars for one column, a map for a pair.

    Categories that have an order are shown in it, from top to bottom and from left to
    right. The bars of others are sorted, with the largest contribution on top, and a map
    has categories of similar effects side by side.

    Bands and whiskers are two standard errors of the curve of the column, where its
    replicas give one; the parts that come from pairs have none.

    Parameters
    ----------
    term : dict
        One of the "terms" of `GrowingNAMClassifier.explain_global`.
    target : str, default=""
        Class whose score the contribution is part of, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from skgrow import GrowingNAMClassifier
    >>> from skgrow.plotting import TermDisplay
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> X = X[["mean radius", "mean texture"]]
    >>> nam = GrowingNAMClassifier(max_iter=20, random_state=0).fit(X, y)
    >>> display = TermDisplay.from_estimator(nam, X, "mean radius")
    >>> display.ax_.get_xlabel()
    'mean radius'
    """

    def __init__(self, term, target=""):
        self.term = term
        self.target = target

    @classmethod
    def from_estimator(
        cls, estimator, X, term, *, target=None, n_points=32, max_categories=40, ax=None
    ):
        """Draw a term of a fitted network.

        Parameters
        ----------
        estimator : GrowingNAMClassifier
        X : array-like or DataFrame of shape (n_samples, n_features)
            See `explain_global`.
        term : str or tuple
            Name of the term, one of `term_names_`, or the numbers or names of its
            columns.
        target : label, default=None
            Class to draw. None means the second of two; it is needed when there are
            more.
        n_points : int, default=32
            See `explain_global`.
        max_categories : int or None, default=40
            Of a column of more categories the most frequent ones in `X` are drawn, and
            the name of the axis says so. None draws all.
        ax : matplotlib Axes, default=None

        Returns
        -------
        display : TermDisplay

        Raises
        ------
        ValueError
            If there is no such term or class, or the name can mean several terms.
        """
        check_matplotlib_support("TermDisplay")
        found = estimator.explain_global(X, n_points, max_categories, terms=[term])
        [chosen] = found["terms"]
        if is_regressor(estimator):
            return cls(chosen).plot(ax=ax)
        classes = estimator.classes_.tolist()
        if len(classes) > 2 or target is not None:
            chosen = _of_class(chosen, target, classes)
        own = 1 if target is None else classes.index(target)
        shown = short_names([str(one) for one in classes])[own]
        return cls(chosen, shown).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the term.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; a new figure if None.

        Returns
        -------
        display : TermDisplay
        """
        is_own = ax is None
        self.ax_ = ax = new_axes(ax, "TermDisplay")
        self.figure_ = ax.figure
        if is_own:
            self._enlarge()
        if len(self.term["features"]) == 2:
            self._plot_map(ax)
        elif self.term["kinds"] == ("number",):
            self._plot_curve(ax)
        else:
            self._plot_bars(ax)
        return self

    def _enlarge(self):
        """Room for the names of all categories."""
        sides = [
            0 if kind == "number" else (len(values) + MARGIN) * INCHES_A_NAME
            for kind, values in zip(self.term["kinds"], self.term["values"], strict=True)
        ]
        *across, upward = sides  # a single column of categories has bars, one on another
        width, height = self.figure_.get_size_inches()
        self.figure_.set_size_inches(max(width, *across, 0), max(height, upward))

    def _plot_curve(self, ax):
        [values], [weight] = self.term["values"], self.term["weights"]
        shape, error = self.term["contribution"], self.term.get("error")
        ax.axhline(0, color="0.7", linewidth=0.8)
        there = np.array([v is not None for v in values])
        x = np.array([v for v in values if v is not None], dtype=float)
        ax.plot(x, shape[there], color="C0", marker="." if len(x) < 10 else "")
        if error is not None:
            low, high = shape - 2 * error, shape + 2 * error
            ax.fill_between(x, low[there], high[there], color="C0", alpha=0.2, lw=0)
        if not there.all():
            ax.axhline(shape[~there][0], color="C1", linestyle="--", label="missing")
            ax.legend(frameon=False)
        _density(ax, x, weight[there])
        ax.set_xlabel(self._axis_name(0))
        ax.set_ylabel(self._label())

    def _plot_bars(self, ax):
        shape, error = self.term["contribution"], self.term.get("error")
        order = self._order(0, -shape)
        bars = None if error is None else 2 * error[order]
        ax.axvline(0, color="0.7", linewidth=0.8)
        places = -np.arange(len(order))  # from top to bottom
        ax.barh(places, shape[order], xerr=bars, color="C0", ecolor="0.3")
        ax.set_ylim(-len(order) + 0.4, 0.6)
        self._name_ticks(ax, "y", 0, order, places)
        ax.set_ylabel(self._axis_name(0))
        ax.set_xlabel(self._label())

    def _plot_map(self, ax):
        shape = self.term["contribution"]
        first, second = _likeness(shape, self.term["values"])
        first, second = self._order(0, first), self._order(1, second)
        largest = np.abs(shape).max() or 1.0
        drawn = ax.imshow(
            shape[np.ix_(first, second)].T, origin="lower", aspect="auto", cmap="RdBu_r",
            vmin=-largest, vmax=largest,
        )  # fmt: skip
        self._name_ticks(ax, "x", 0, first, np.arange(len(first)))
        self._name_ticks(ax, "y", 1, second, np.arange(len(second)))
        ax.set_xlabel(self._axis_name(0))
        ax.set_ylabel(self._axis_name(1))
        ax.figure.colorbar(drawn, ax=ax, label=self._label())

    def _order(self, column, rank_by):
        """In which order the values of a column are shown; a missing one is the last."""
        if self.term["kinds"][column] != "category":
            return np.arange(len(rank_by))
        lost = [value is None for value in self.term["values"][column]]
        return np.lexsort((rank_by, lost))

    def _name_ticks(self, ax, which, column, order, places):
        values = [self.term["values"][column][i] for i in order]
        is_number = self.term["kinds"][column] == "number"
        _name_ticks(ax, which, values, places, MAX_NUMBERS if is_number else MAX_NAMES)

    def _axis_name(self, column):
        name = short(self.term["columns"][column], 2 * LONGEST_NAME)
        n_values = self.term["n_values"][column]
        n_shown = sum(value is not None for value in self.term["values"][column])
        if n_shown == n_values:
            return name
        return f"{name}\n({n_shown:,} of {n_values:,} values, the most frequent)"

    def _label(self):
        if not self.target:
            return "adds to the prediction"
        return f"adds to {short(self.target, 2 * LONGEST_NAME)} (logits)"


def _of_class(term, target, classes):
    if target not in classes:
        raise ValueError(f"target={target!r} is not one of the classes: {classes}.")
    if len(classes) == 2:
        sign = 1 if target == classes[1] else -1
        return {**term, "contribution": sign * term["contribution"]}
    own = classes.index(target)
    error = term.get("error")
    return {
        **term,
        "contribution": term["contribution"][..., own],
        "error": None if error is None else error[..., own],
    }


def _density(ax, x, weight):
    """A strip at the lower edge: the more rows, the darker."""
    if len(x) < 2:
        return
    edges = np.concatenate([x[:1], (x[1:] + x[:-1]) / 2, x[-1:]])
    width = np.maximum(np.diff(edges), np.finfo(float).tiny)
    share = weight / width
    ax.bar(
        edges[:-1], 0.03, width=width, align="edge", transform=ax.get_xaxis_transform(),
        color=[(0.2, 0.2, 0.2, s) for s in np.sqrt(share / share.max())],
    )  # fmt: skip


def _likeness(shape, values):
    """Numbers that are alike where rows or columns of a map are alike."""
    there = [[value is not None for value in side] for side in values]
    known = shape[np.ix_(*there)]
    found = [np.zeros(len(side)) for side in there]
    if known.size:
        left, _, right = np.linalg.svd(known, full_matrices=False)
        sign = np.sign(left[np.abs(left[:, 0]).argmax(), 0])
        found[0][there[0]], found[1][there[1]] = sign * left[:, 0], sign * right[0]
    return found


def _name_ticks(ax, which, values, places, most):
    step = max(1, -(-len(values) // most))
    kept = list(range(0, len(values), step))
    if values[-1] is None:
        kept = [i for i in kept if i <= len(values) - 1 - step / 2]
        kept.append(len(values) - 1)
    names = value_names([values[i] for i in kept])
    style = {"fontsize": _font_points(ax, which, len(names))}
    if which == "x" and max(map(len, names)) > 4:
        many = {"rotation": 90}
        few = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        style |= many if len(names) > MAX_NUMBERS else few
    setter = ax.set_xticks if which == "x" else ax.set_yticks
    setter([places[i] for i in kept], names, **style)


def _font_points(ax, which, n_names):
    """So that as many names fit beside or above each other."""
    side = ax.get_position().width if which == "x" else ax.get_position().height
    inches = side * ax.figure.get_size_inches()[0 if which == "x" else 1]
    return float(np.clip(0.8 * 72 * inches / n_names, LEAST_POINTS, FONT_POINTS))
