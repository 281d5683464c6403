"""Explanations: what each term of an additive network says, and how much it matters."""

from __future__ import annotations

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skgrow._reading import read
from skgrow._validation import check_device
from skgrow.bank import features_major, row_chunks

__all__ = ["ExplainingMixin"]

ROWS_PER_CHUNK = 2048
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
    def term_names_(self):
        """Name of each term: of its columns, as "age" or "age & town".

        Columns without names are called "x0", "x1" and so on.
        """
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"x{j}" for j in range(self._fitted("n_features_in_"))]
        return [_joined([names[j] for j in term]) for term in self.term_features_]

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
        check_device(self.device)
        X = read(self, X).astype(self._network.bank.dtype, copy=False)
        terms = _terms(self._network)
        found = np.zeros(
            (len(X), len(terms), len(self.classes_)), dtype=self._network.bank.dtype
        )
        for rows in row_chunks(len(X), ROWS_PER_CHUNK):
            scaled = self._scaler.transform(X[rows])
            _add_base(found[rows], self._network.bank, terms, scaled, self.device)
            _add_grown(found[rows], self._network.grown, terms, scaled, self.device)
        return found[..., 1] - found[..., 0] if found.shape[2] == 2 else found

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
        """
        terms = self.eval_terms(X)
        if terms.ndim == 3:
            terms = terms - terms.mean(axis=2, keepdims=True)
        centred = np.abs(terms - np.average(terms, axis=0, weights=sample_weight))
        mean = np.average(centred, axis=0, weights=sample_weight)
        return mean if mean.ndim == 1 else mean.mean(axis=1)

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

    def _by_class(self, contribution):
        if contribution.ndim == 0:
            return float(contribution)
        values = contribution.tolist()
        return dict(zip(self.classes_.tolist(), values, strict=True))


def _terms(network):
    """Number of each term by its columns, in order."""
    regions = np.concatenate([network.bank.regions, network.grown.uses.columns])
    terms = {}
    for region in regions.tolist():
        terms.setdefault(tuple(sorted(set(region))), len(terms))
    return terms


def _numbers(regions, terms):
    return np.array([terms[tuple(sorted(set(r)))] for r in regions.tolist()], dtype=int)


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
