"""What every term of a network adds to the scores of rows, a chunk of rows at a time."""

from __future__ import annotations

import numpy as np

from skgrow.explain.terms import terms_of
from skgrow.networks.forward import features_major, row_chunks
from skgrow.networks.row_scores import ROWS_PER_CHUNK

__all__ = ["term_chunks"]


def term_chunks(network, scaler, X, device):
    """Contributions of all terms, in chunks: no more than one of them is held.

    Parameters
    ----------
    network : Network
    scaler : PixelScaler or QuantileScaler
    X : ndarray of shape (n_rows, n_features)
        As the model reads it.
    device : str

    Yields
    ------
    rows : slice
    found : ndarray of shape (n_chunk, n_terms, n_classes)
        In logits, in the order of `terms_of`.
    """
    terms, n_classes = terms_of(network), len(network.intercept)
    base = _numbers(network.bank.seen, terms)
    grown = _numbers(network.grown.uses.seen, terms)
    runner = network.grown.runner(device, n_classes)
    add_shapes = _shapes_adder(network, terms)
    for rows in row_chunks(len(X), ROWS_PER_CHUNK):
        some = X[rows].astype(network.bank.dtype, copy=False)
        scaled = scaler.transform(some)
        found = np.zeros((len(some), len(terms), n_classes), dtype=network.bank.dtype)
        add_shapes(found, some)
        outputs = network.bank.terms(scaled, device)  # (n_chunk, n_branches, n_classes)
        np.add.at(found, (slice(None), base), outputs)
        if len(network.grown):
            added = runner.contributions(features_major(scaled, device)).cpu().numpy()
            place = (slice(None), grown, network.grown.uses.target)
            np.add.at(found, place, added.T)
        yield rows, found


def _shapes_adder(network, terms):
    """Adds the outputs of curves and surfaces to the contributions of some rows."""
    curves, surfaces = network.curves, network.surfaces
    own = [] if curves is None else curves.active
    pairs = [] if surfaces is None else _numbers(surfaces.pairs, terms)

    def add(found, X):
        if curves is not None:
            found[:, : len(own)] += curves.terms(X)[:, own]
        if surfaces is not None:
            found[:, pairs] += surfaces.terms(X)

    return add


def _numbers(regions, terms):
    """Number of the term of each region."""
    return np.array([terms[tuple(sorted(set(r)))] for r in regions.tolist()], dtype=int)
