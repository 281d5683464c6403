"""Verbs that answer for rows: functions that estimators take as their methods."""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, softmax

from skgrow.runtime.surroundings import reads

__all__ = [
    "decision_function",
    "predict_classes",
    "predict_log_proba",
    "predict_numbers",
    "predict_proba",
]


@reads
def decision_function(self, X):
    """Scores of the classes, in logits.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    scores : ndarray of shape (n_samples, n_classes) or (n_samples,)
        With two classes, the log-odds of the second.
    """
    scores = self._scores(X)
    return self._state.target.contribution(scores)


@reads
def predict_log_proba(self, X):
    """Log probabilities of the classes.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    log_proba : ndarray of shape (n_samples, n_classes)
        In nats; columns in the order of `classes_`.
    """
    log_proba = log_softmax(self._scores(X), axis=1)
    return np.maximum(log_proba, np.log(np.finfo(log_proba.dtype).tiny))


@reads
def predict_proba(self, X):
    """Probabilities of the classes.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)
        Rows sum to 1; columns in the order of `classes_`.
    """
    proba = softmax(self._scores(X), axis=1)
    return np.maximum(proba, np.finfo(proba.dtype).tiny)  # its log is finite


@reads
def predict_classes(self, X):
    """Label of highest score for each row.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    y : ndarray of shape (n_samples,)
        Labels out of `classes_`.
    """
    best = self._scores(X).argmax(axis=1)
    return self._state.target.labels[best]


@reads
def predict_numbers(self, X):
    """Predicted numbers.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)

    Returns
    -------
    y : ndarray of shape (n_samples,)
        In units of the target.
    """
    scores = self._scores(X)
    target = self._state.target
    return target.mean + target.contribution(scores)
