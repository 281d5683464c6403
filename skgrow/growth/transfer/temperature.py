"""The temperature that makes probabilities of standardised votes: one fitted number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar

from skgrow.training.losses import CROSS_ENTROPY

__all__ = ["fit_temperature"]

MAX_LOG_TEMPERATURE = 6.0  # of e: beyond, every probability is 0 or 1


def fit_temperature(electorate, sums, y, sample_weight):
    """The electorate with the temperature of lowest cross-entropy on given rows.

    Parameters
    ----------
    electorate : Electorate
    sums : ndarray of shape (n_rows, n_classes)
        Class sums of the rows.
    y : ndarray of int64 of shape (n_rows,)
    sample_weight : ndarray of shape (n_rows,)

    Returns
    -------
    electorate : Electorate
    """

    def loss(log_temperature):
        trial = replace(electorate, temperature=float(np.exp(log_temperature)))
        losses = CROSS_ENTROPY.of_rows(trial.logits_of_sums(sums), y)
        return float(np.average(losses, weights=sample_weight))

    bounds = (-MAX_LOG_TEMPERATURE, MAX_LOG_TEMPERATURE)
    found = minimize_scalar(loss, bounds=bounds, method="bounded")
    return replace(electorate, temperature=float(np.exp(found.x)))
