"""Explanations of additive networks: terms, their shapes, and how much each matters.

A term is all that reads the same columns, taken together. These are functions that
estimators of a `Network` take as their methods.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from numbers import Integral

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import _check_sample_weight, check_is_fitted

from skgrow.explain.contributions import term_chunks
from skgrow.explain.shape_functions import (
    axes_of,
    columns_needed,
    described,
    purified,
    term_blocks,
)
from skgrow.explain.terms import TermNames, terms_of
from skgrow.inputs.checks import check_device
from skgrow.inputs.reading import read
from skgrow.runtime.surroundings import changes, reads

__all__ = [
    "eval_terms",
    "explain_global",
    "explain_local",
    "remove_terms",
    "term_features_",
    "term_importances",
    "term_names_",
]

KEPT_BYTES = 2**26  # contributions that importances do not compute twice


@property
def term_features_(self):
    """Columns of each term, a list of tuples of column numbers in ascending order.

    Terms of the base network come first, then those that only grown branches have.
    """
    return list(terms_of(self._fitted().network))


@property
@reads
def term_names_(self):
    """Name of each term: of its columns, as "age" or "age & town".

    Columns without names are called "x0", "x1" and so on. All names are different:
    where columns are called "a", "b" and "a & b", there are "'a' & 'b'" and
    "'a & b'", and terms of many columns with the same first and last have all named.
    """
    terms = self.term_features_  # or an error, of a model that is not fitted
    return _names(self).of(terms)


@reads
def eval_terms(self, X):
    """What each term adds to the scores; with `intercept_`, they sum to them.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)

    Returns
    -------
    contributions : ndarray of shape (n_samples, n_terms, n_classes)
        In logits, in the order of `term_names_`. With two classes, of shape
        (n_samples, n_terms): what the term adds to the log-odds of the second.

    Raises
    ------
    ValueError
        If `X` cannot be used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgrow import GrowingNAMClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> nam = GrowingNAMClassifier("features", max_iter=20, random_state=0)
    >>> terms = nam.fit(X, y).eval_terms(X)
    >>> terms.shape
    (150, 4, 3)
    >>> scores = terms.sum(axis=1) + nam.intercept_
    >>> bool(abs(scores - nam.decision_function(X)).max() < 1e-9)
    True
    """
    check_is_fitted(self)
    state = self._state
    X, n_outputs = read(self, state.inputs, X), state.target.n_outputs
    shape = (len(X), len(terms_of(state.network)))
    shape = shape if n_outputs == 2 else (*shape, n_outputs)
    found = np.empty(shape, dtype=state.inputs.dtype)
    for rows, block in _term_chunks(self, X):
        found[rows] = block
    return found


def _term_chunks(self, X):
    """Slices of rows, and what each term adds there: `(n_rows, n_terms, ...)`."""
    check_device(self.device)
    state = self._state
    chunks = term_chunks(state.network, state.inputs.scaler, X, self.device)
    return ((rows, state.target.contribution(found)) for rows, found in chunks)


@reads
def term_importances(self, X, sample_weight=None):
    """Mean absolute contribution of each term around its mean, in logits.

    Of more than two classes, the mean over the classes, each contribution taken
    less its mean over the classes: what is added to all of them changes nothing.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows to judge by, as a rule those of `fit`.
    sample_weight : array-like of shape (n_samples,), default=None

    Returns
    -------
    importances : ndarray of shape (n_terms,)
        In the order of `term_names_`.

    Raises
    ------
    ValueError
        If `X` or the weights cannot be used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgrow import GrowingNAMClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> nam = GrowingNAMClassifier("features", max_iter=20, random_state=0).fit(X, y)
    >>> importances = nam.term_importances(X)
    >>> importances.shape == (len(nam.term_names_),) == (4,)
    True
    """
    check_is_fitted(self)
    X = read(self, self._state.inputs, X)
    weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
    weight = weight / weight.sum()
    chunks = _centred_chunks(self, X)
    mean = sum(weight[rows] @ block for rows, block in chunks())
    far = sum(weight[rows] @ np.abs(block - mean) for rows, block in chunks())
    return far.reshape(len(self.term_features_), -1).mean(axis=1)


def _centred_chunks(self, X):
    """Makes passes over the contributions, `(n_rows, n_terms * n_classes)`.

    Few are computed once and kept, many are computed anew in each pass.
    """

    def chunks():
        for rows, block in _term_chunks(self, X):
            if block.ndim == 3:
                block = block - block.mean(axis=2, keepdims=True)
            yield rows, block.reshape(len(block), -1).astype(np.float64, copy=False)

    n_values = len(self.term_features_) * self._state.target.n_outputs
    if 8 * len(X) * n_values > KEPT_BYTES:
        return chunks
    kept = list(chunks())
    return lambda: kept


@reads
def explain_local(self, X):
    """The terms of each row, from the largest contribution to the smallest.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)

    Returns
    -------
    rows : list of list of dict
        For each row a dict a term: "term", its name; "features", its columns;
        "contribution", in logits, a float (log-odds of the second of two classes)
        or a dict of class and float.

    Raises
    ------
    ValueError
        If `X` cannot be used.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgrow import GrowingNAMClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> nam = GrowingNAMClassifier("features", max_iter=20, random_state=0).fit(X, y)
    >>> first = nam.explain_local(X[:2])[0][0]    # the largest of row 0
    >>> sorted(first), sorted(first["contribution"])
    (['contribution', 'features', 'term'], [0, 1, 2])
    """
    terms = self.eval_terms(X)
    names, columns = self.term_names_, self.term_features_
    size = np.abs(terms) if terms.ndim == 2 else np.ptp(terms, axis=2)
    return [
        [
            {
                "term": names[i],
                "features": columns[i],
                "contribution": self._state.target.named(row[i]),
            }
            for i in order
        ]
        for row, order in zip(terms, np.argsort(-size, axis=1), strict=True)
    ]


@reads
def explain_global(self, X, n_points=32, max_categories=40, terms=None):
    """The shape of every term of one or two columns, on a grid, purified.

    What a pair adds by one of its columns alone is moved to the term of that
    column, and all means to the intercept, weighted by the rows of `X`: the shapes
    then show what the network has learned, whichever branches it is made of. At
    points of the grid they still sum up to the scores.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows that the grid and the weights of its points are taken from, as a rule
        those of `fit`.
    n_points : int, default=32
        Points of the grid of a column of numbers, at quantiles and beside values
        that hold many rows. Missing values have one more, where `X` has any.
    max_categories : int or None, default=40
        Points of the grid of a categorical column: of more categories, the most
        frequent ones in `X`. In means over the column, up to 200 more, spread
        evenly over the other rows, stand for all others. None takes every
        category.
    terms : str, tuple or list of these, default=None
        Terms to compute, by their names, or by tuples of the numbers or names of
        their columns; by default all. A single column takes all pairs that it is
        in, for what they add by it alone.

    Returns
    -------
    explanation : dict
        "intercept": float or dict, as contributions in `explain_local`; None with
        `terms`, since it takes the means of all. "terms": a
        list of dict, single columns first: "term", its name; "features", its
        columns; "columns", their names; "kinds", for each column "number",
        "category" or "ordered" (categories with an order, which are listed in it);
        "values", for each column the list of grid values, None for missing;
        "n_values", for each column how many values there are, which can be more
        than those listed if it has categories;
        "weights", for each column the share of the rows at each value;
        "contribution", in logits, an ndarray of shape (n_points,) or (n_first,
        n_second), with an axis for the classes behind, if there are more than two;
        "error", the standard error of the curve of a single column, of the same
        shape, None for pairs and where there are no replicas.

    Raises
    ------
    ValueError
        If `X` cannot be used, there are no such terms, or terms have more than two
        columns.

    Notes
    -----
    Pairs are computed one after the other, a chunk of the grid at a time: beside
    `X` and what is returned that takes some tens of MiB, however many there are.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgrow import GrowingNAMClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> nam = GrowingNAMClassifier("features", max_iter=20, random_state=0).fit(X, y)
    >>> shape = nam.explain_global(X, n_points=8)["terms"][0]
    >>> shape["term"], shape["contribution"].shape    # points, classes
    ('sepal length (cm)', (8, 3))
    """
    check_is_fitted(self)
    check_device(self.device)
    check_scalar(n_points, "n_points", Integral, min_val=1)
    if max_categories is not None:
        check_scalar(max_categories, "max_categories", Integral, min_val=1)
    state, known = self._state, self.term_features_
    if max(map(len, known), default=0) > 2:
        raise ValueError(
            "explain_global draws terms of one or two columns; this network has "
            f"terms of {max(map(len, known))}. eval_terms takes any."
        )
    shown = sorted({(j,) for term in known for j in term})
    shown += [term for term in known if len(term) == 2]
    wanted = shown if terms is None else _found(self, terms, shown)
    X = read(self, state.inputs, X)
    axes = axes_of(
        X, columns_needed(wanted, known), state.inputs.table, n_points, max_categories
    )
    shapes, level = purified(wanted, known, axes, partial(_blocks, self))
    names = _names(self)
    named = dict(zip(shown, names.of(shown), strict=True))
    level = level + state.target.level(state.network.intercept)
    curves, contribution = state.network.curves, state.target.contribution
    return {
        "intercept": state.target.named(level) if terms is None else None,
        "terms": [
            {
                "term": named[term],
                "features": term,
                "columns": tuple(names.columns[j] for j in term),
                **described(term, shapes[term], axes, curves, contribution),
            }
            for term in wanted
        ],
    }


@changes
def remove_terms(self, names):
    """Take terms out of the network, as if they added nothing.

    What grown branches were fitted to beside them stays as it is.

    Parameters
    ----------
    names : str or list
        Some of `term_names_`. In a list, tuples of the numbers or names of columns
        can be given for names.

    Returns
    -------
    self : estimator

    Raises
    ------
    ValueError
        If there is no such term, a name can mean several, or none would be left.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgrow import GrowingNAMClassifier
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> nam = GrowingNAMClassifier("features", max_iter=20, random_state=0).fit(X, y)
    >>> nam.remove_terms("sepal width (cm)").term_names_
    ['sepal length (cm)', 'petal length (cm)', 'petal width (cm)']
    """
    check_is_fitted(self)
    if isinstance(names, tuple):  # one term, or several?
        raise ValueError(
            f"names={names!r} must be a name or a list: {[names]!r} is the term of "
            f"these columns, {list(names)!r} are several terms."
        )
    known = self.term_features_
    lost = _found(self, names, known)
    if set(lost) == set(known):
        raise ValueError(
            f"names={names!r} must be some of the terms and not all of them."
        )
    self._state = replace(self._state, network=self._state.network.without(lost))
    return self


def _found(self, wanted, terms):
    """The terms that are meant by a name, a tuple or a list of these."""
    wanted = [wanted] if isinstance(wanted, str | tuple) else list(wanted)
    names = _names(self)
    return list(dict.fromkeys(names.find(one, terms) for one in wanted))


def _blocks(self, term, grids):
    """As contributions are given, see `term_blocks`."""
    state = self._state
    scaler, contribution = state.inputs.scaler, state.target.contribution
    for part, scores in term_blocks(state.network, scaler, term, grids, self.device):
        yield part, contribution(scores)


def _names(self):
    columns = getattr(self, "feature_names_in_", None)
    if columns is None:
        columns = [f"x{j}" for j in range(self.n_features_in_)]
    return TermNames(columns)
