"""Pictures of a fitted network, with matplotlib (`pip install skgrow[plot]`).

Every display has `from_estimator`, which computes and draws, and `plot`, which draws
again, on axes of the user's if they are given.
"""

from __future__ import annotations

import numpy as np
from sklearn.base import is_regressor
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skgrow._growth_display import GrowthDisplay
from skgrow._region_display import RegionDisplay, new_axes

__all__ = ["GrowthDisplay", "ImportanceDisplay", "RegionDisplay", "TermDisplay"]

LONGEST_NAME = 24  # letters of a category or a column on an axis
MAX_CATEGORIES = 12  # named on an axis; of more, every so many


class TermDisplay:
    """Shape of one term: a curve or bars for one column, a map for a pair.

    Bands and whiskers are two standard errors of the curve of the column, where its
    replicas give one; what pairs say of the column alone is drawn without.

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
    def from_estimator(cls, estimator, X, term, *, target=None, n_points=32, ax=None):
        """Draw a term of a fitted network.

        Parameters
        ----------
        estimator : GrowingNAMClassifier
        X : array-like or DataFrame of shape (n_samples, n_features)
            See `explain_global`.
        term : str
            Name of the term, one of `term_names_`.
        target : label, default=None
            Class to draw. None means the second of two; it is needed when there are
            more.
        n_points : int, default=32
            See `explain_global`.
        ax : matplotlib Axes, default=None

        Returns
        -------
        display : TermDisplay

        Raises
        ------
        ValueError
            If there is no such term or class.
        """
        check_matplotlib_support("TermDisplay")
        found = estimator.explain_global(X, n_points=n_points)["terms"]
        names = [one["term"] for one in found]
        if term not in names:
            raise ValueError(f"term={term!r} is not one of the terms: {names}.")
        chosen = found[names.index(term)]
        if is_regressor(estimator):
            return cls(chosen).plot(ax=ax)
        classes = estimator.classes_.tolist()
        if len(classes) > 2 or target is not None:
            chosen = _of_class(chosen, target, classes)
        shown = classes[1] if target is None else target
        return cls(chosen, str(shown)).plot(ax=ax)

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
        self.ax_ = ax = new_axes(ax, "TermDisplay")
        self.figure_ = ax.figure
        if len(self.term["features"]) == 1:
            self._plot_curve(ax)
        else:
            self._plot_map(ax)
        return self

    def _plot_curve(self, ax):
        [values], [weight] = self.term["values"], self.term["weights"]
        shape, error = self.term["contribution"], self.term.get("error")
        ax.axhline(0, color="0.7", linewidth=0.8)
        numbers = _are_numbers(values)
        if numbers:
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
        else:
            bars = None if error is None else 2 * error
            ax.bar(np.arange(len(values)), shape, yerr=bars, color="C0", ecolor="0.3")
            _name_ticks(ax, "x", values)
        ax.set_xlabel(_short(self.term["term"], 2 * LONGEST_NAME))
        ax.set_ylabel(self._says())

    def _plot_map(self, ax):
        first, second = self.term["values"]
        shape = self.term["contribution"]
        largest = np.abs(shape).max() or 1.0
        drawn = ax.imshow(
            shape.T, origin="lower", aspect="auto", cmap="RdBu_r", vmin=-largest,
            vmax=largest,
        )  # fmt: skip
        _name_ticks(ax, "x", first)
        _name_ticks(ax, "y", second)
        names = self.term["term"].split(" & ")
        ax.set_xlabel(_short(names[0], 2 * LONGEST_NAME))
        ax.set_ylabel(_short(names[-1], 2 * LONGEST_NAME))
        ax.figure.colorbar(drawn, ax=ax, label=self._says())

    def _says(self):
        if not self.target:
            return "adds to the prediction"
        return f"adds to {_short(self.target)} (logits)"


class ImportanceDisplay:
    """How much each term matters, as bars.

    Parameters
    ----------
    names : list of str
    importances : ndarray of shape (n_terms,)
        In logits, see `GrowingNAMClassifier.term_importances`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgrow import GrowingNAMClassifier
    >>> from skgrow.plotting import ImportanceDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> nam = GrowingNAMClassifier("features", max_iter=5, random_state=0).fit(X, y)
    >>> display = ImportanceDisplay.from_estimator(nam, X, n_terms=3)
    >>> display.ax_.get_xlabel()
    'mean absolute contribution (logits)'
    """

    def __init__(self, names, importances):
        self.names = names
        self.importances = importances

    @classmethod
    def from_estimator(cls, estimator, X, *, sample_weight=None, n_terms=15, ax=None):
        """Draw the importances of a fitted network.

        Parameters
        ----------
        estimator : GrowingNAMClassifier
        X : array-like or DataFrame of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
        n_terms : int, default=15
            Terms to draw, the most important ones.
        ax : matplotlib Axes, default=None

        Returns
        -------
        display : ImportanceDisplay
        """
        check_matplotlib_support("ImportanceDisplay")
        importances = estimator.term_importances(X, sample_weight)
        display = cls(estimator.term_names_, importances)
        return display.plot(ax=ax, n_terms=n_terms)

    def plot(self, ax=None, n_terms=15):
        """Draw the importances.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
        n_terms : int, default=15

        Returns
        -------
        display : ImportanceDisplay
        """
        self.ax_ = ax = new_axes(ax, "ImportanceDisplay")
        self.figure_ = ax.figure
        order = np.argsort(-self.importances, kind="stable")[:n_terms][::-1]
        names = [_short(self.names[i], 2 * LONGEST_NAME) for i in order]
        ax.barh(np.arange(len(order)), self.importances[order], color="C0")
        ax.set_yticks(np.arange(len(order)), names)
        ax.set_xlabel("mean absolute contribution (logits)")
        return self


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


def _are_numbers(values):
    return all(v is None or isinstance(v, float) for v in values)


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


def _name_ticks(ax, which, values):
    step = max(1, -(-len(values) // MAX_CATEGORIES))
    places = list(range(0, len(values), step))
    if values[-1] is None:
        places = [i for i in places if i <= len(values) - 1 - step / 2]
        places.append(len(values) - 1)
    names = [_shown(values[i]) for i in places]
    rotated = {"rotation": 45, "ha": "right"} if max(map(len, names)) > 4 else {}
    if which == "x":
        ax.set_xticks(places, names, **rotated)
    else:
        ax.set_yticks(places, names)


def _shown(value):
    if value is None:
        return "missing"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return _short(str(value))


def _short(name, longest=LONGEST_NAME):
    return name if len(name) <= longest else name[: longest - 1] + "…"
