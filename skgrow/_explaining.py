"""Explanations: what each term of an additive network says, and how much it matters."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgrow._reading import read
from skgrow._shapes import axes_of, purified, shape_rows
from skgrow._validation import check_device
from skgrow._verbs import changes, reads
from skgrow.forward import features_major, row_chunks
from skgrow.growth.grown import ROWS_PER_CHUNK

__all__ = ["ExplainingMixin"]

NAMED_COLUMNS = 3  # a term of more columns is named by the first and the last


class ExplainingMixin:
    """Terms of a `Network`: all branches that see the same columns, taken together."""

    @property
    def term_features_(self):
        """Columns of each term, a list of tuples of column numbers in ascending order.

        Terms of the base network come first, then those that only grown branches have.
        """
        return list(_terms(self._fitted("_network")))

    @property
    @reads
    def term_names_(self):
        """Name of each term: of its columns, as "age" or "age & town".

        Columns without names are called "x0", "x1" and so on.
        """
        names = self._column_names()
        return [_joined([names[j] for j in term]) for term in self.term_features_]

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
        return self._contributions(read(self, X))

    def _contributions(self, X):
        """As `eval_terms`, of inputs as the model reads them."""
        check_device(self.device)
        X = X.astype(self._network.bank.dtype, copy=False)
        terms = _terms(self._network)
        found = np.zeros(
            (len(X), len(terms), self._n_outputs), dtype=self._network.bank.dtype
        )
        for rows in row_chunks(len(X), ROWS_PER_CHUNK):
            scaled = self._scaler.transform(X[rows])
            _add_shapes(found[rows], self._network, terms, X[rows])
            _add_base(found[rows], self._network.bank, terms, scaled, self.device)
            _add_grown(found[rows], self._network.grown, terms, scaled, self.device)
        return self._as_told(found)

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
        terms = self.eval_terms(X)
        if terms.ndim == 3:
            terms = terms - terms.mean(axis=2, keepdims=True)
        centred = np.abs(terms - np.average(terms, axis=0, weights=sample_weight))
        mean = np.average(centred, axis=0, weights=sample_weight)
        return mean if mean.ndim == 1 else mean.mean(axis=1)

    @reads
    def explain_local(self, X):
        """Why each row has the scores it has: its terms, those that say most first.

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
        >>> first = nam.explain_local(X[:2])[0][0]    # of row 0 what says most
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
                    "contribution": self._by_class(row[i]),
                }
                for i in order
            ]
            for row, order in zip(terms, np.argsort(-size, axis=1), strict=True)
        ]

    @reads
    def explain_global(self, X, n_points=32):
        """The shape of every term of one or two columns, on a grid, purified.

        What a pair says of one of its columns alone is moved to the term of that
        column, and all means to the intercept, weighted by the rows of `X`: the shapes
        then show what the network has learned, whichever branches it is made of. At
        points of the grid they still sum up to the scores.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Rows that say where the grid lies and how much each point weighs, as a rule
            those of `fit`.
        n_points : int, default=32
            Points of the grid of a column of numbers, at quantiles and beside values
            that hold many rows; a categorical column has one for each category.
            Missing values have one more, where `X` has any.

        Returns
        -------
        explanation : dict
            "intercept": float or dict, as contributions in `explain_local`. "terms": a
            list of dict, single columns first: "term", its name; "features", its
            columns; "values", for each column the list of grid values, None for
            missing; "weights", for each column the share of the rows at each value;
            "contribution", in logits, an ndarray of shape (n_points,) or (n_first,
            n_second), with an axis for the classes behind, if there are more than two;
            "error", the standard error of the curve of a single column, of the same
            shape, None for pairs and where there are no replicas.

        Raises
        ------
        ValueError
            If `X` cannot be used, or terms have more than two columns.

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
        X = read(self, X).astype(self._network.bank.dtype, copy=False)
        numbers = _terms(self._network)
        if max(map(len, numbers)) > 2:
            raise ValueError(
                "explain_global draws terms of one or two columns; this network has "
                f"terms of {max(map(len, numbers))}. eval_terms takes any."
            )
        table = vars(self).get("_table")
        axes = axes_of(
            X, sorted({j for term in numbers for j in term}),
            table and table.categories, n_points,
        )  # fmt: skip
        rows, parts = shape_rows(numbers, axes, X[0])
        found = self._contributions(rows)
        shapes = {
            term: found[part, number].reshape(
                *(len(axes[j].points) for j in term), *found.shape[2:]
            )
            for (term, number), part in zip(numbers.items(), parts, strict=True)
        }
        shapes, level = purified(shapes, axes)
        return {
            "intercept": self._by_class(self._level() + level),
            "terms": [self._described(term, shapes[term], axes) for term in shapes],
        }

    @changes
    def remove_terms(self, names):
        """Take terms out of the network, as if their columns said nothing there.

        What grown branches were fitted to beside them stays as it is.

        Parameters
        ----------
        names : str or list of str
            Some of `term_names_`.

        Returns
        -------
        self : estimator

        Raises
        ------
        ValueError
            If there is no such term, or none would be left.

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
        known = dict(zip(self.term_names_, self.term_features_, strict=True))
        names = [names] if isinstance(names, str) else list(names)
        unknown = [name for name in names if name not in known]
        if unknown or set(names) == set(known):
            raise ValueError(
                f"names={names!r} must be some of the terms and not all of them, which "
                f"are {list(known)}."
            )
        self._network = self._network.without([known[name] for name in names])
        return self

    def _described(self, term, shape, axes):
        return {
            "term": _joined([self._column_names()[j] for j in term]),
            "features": term,
            "values": [axes[j].labels for j in term],
            "weights": [axes[j].weight for j in term],
            "contribution": shape,
            "error": self._error(term, axes),
        }

    def _error(self, term, axes):
        """Of a curve on its grid, from replicas; None where there is none."""
        curves = self._network.curves
        if curves is None or len(term) > 1 or np.isnan(curves.error).all():
            return None
        error = curves.error_at(term[0], axes[term[0]].points)
        if error.shape[1] > 2:
            return error
        return np.abs(self._as_told(error * np.array([-1, 1])))  # of the difference

    def _level(self):
        """The intercept, as contributions are given."""
        return self._as_told(self.intercept_)

    def _as_told(self, scores):
        """Scores of two classes as the log-odds of the second."""
        return scores[..., 1] - scores[..., 0] if scores.shape[-1] == 2 else scores

    def _column_names(self):
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{j}" for j in range(self._fitted("n_features_in_"))]
        return names

    def _by_class(self, contribution):
        if np.ndim(contribution) == 0:
            return float(contribution)
        values = contribution.tolist()
        return dict(zip(self.classes_.tolist(), values, strict=True))


def _terms(network):
    """Number of each term by its columns, in order."""
    curves, surfaces = network.curves, network.surfaces
    speaking = [] if curves is None else curves.speaking
    terms = {(j,): number for number, j in enumerate(speaking)}
    pairs = [] if surfaces is None else surfaces.pairs.tolist()
    regions = network.bank.regions.tolist(), network.grown.uses.columns.tolist()
    for region in (*regions[0], *pairs, *regions[1]):
        terms.setdefault(tuple(sorted(set(region))), len(terms))
    return terms


def _numbers(regions, terms):
    return np.array([terms[tuple(sorted(set(r)))] for r in regions.tolist()], dtype=int)


def _add_shapes(found, network, terms, X):
    """Add what curves and surfaces say to `found` (n_rows, n_terms, n_classes)."""
    if network.curves is not None:
        own = network.curves.speaking
        found[:, : len(own)] += network.curves.terms(X)[:, own]
    if network.surfaces is not None:
        found[:, _numbers(network.surfaces.pairs, terms)] += network.surfaces.terms(X)


def _add_base(found, bank, terms, scaled, device):
    """Add the base branches' outputs to `found` (n_rows, n_terms, n_classes)."""
    np.add.at(
        found, (slice(None), _numbers(bank.regions, terms)), bank.terms(scaled, device)
    )


def _add_grown(found, grown, terms, scaled, device):
    """Add what the grown branches say for their target classes."""
    if not len(grown):
        return
    features = features_major(scaled, device)
    added = grown.runner(device, found.shape[2]).contributions(features).cpu().numpy()
    place = (slice(None), _numbers(grown.uses.columns, terms), grown.uses.target)
    np.add.at(found, place, added.T)


def _joined(names):
    if len(names) <= NAMED_COLUMNS:
        return " & ".join(map(str, names))
    return f"{names[0]} & ... & {names[-1]} ({len(names)} columns)"
