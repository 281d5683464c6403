"""Where the branches of a transfer come from: models, banks, or several of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skgrow.inputs.windows import ONE_PLACE
from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import folded_layers

__all__ = ["source_bank"]


def source_bank(source, use_grown, dtype):
    """One bank of all branches of a source.

    Parameters
    ----------
    source : estimator, BranchBank, or list of them
        A fitted estimator of this package, or a `FrozenEstimator` around one.
    use_grown : bool
        Whether grown branches with input maps of their own are branches too.
    dtype : numpy dtype
        Of the arrays of the result.

    Returns
    -------
    bank : BranchBank
        With as many outputs as the source with most classes; an output that a branch
        does not have is 0.

    Raises
    ------
    TypeError
        If the source is nothing that has branches.
    ValueError
        If a source is not fitted, or branches differ in shape.
    """
    sources = list(source) if isinstance(source, (list, tuple)) else [source]
    if not sources:
        raise ValueError("source is an empty list; give at least one fitted model.")
    banks = [bank for one in sources for bank in _banks_of(one, use_grown)]
    shapes = sorted({_shape(bank) for bank in banks})
    if len(shapes) > 1:
        described = ", ".join(f"{size} columns and layers {h}" for size, h in shapes)
        raise ValueError(
            "All branches of a source must see equally many columns and have the same "
            f"hidden_layer_sizes; these have {described}."
        )
    return _merged(banks, dtype)


def _banks_of(source, use_grown):
    if isinstance(source, FrozenEstimator):
        source = source.estimator
    if isinstance(source, BranchBank):
        return [source]
    if not hasattr(type(source), "bank_"):
        raise TypeError(
            "source must be a fitted GrowingNAMClassifier, a FrozenEstimator around "
            f"one, a BranchBank, or a list of these; got {source!r}."
        )
    try:
        banks = [source.bank_]
    except AttributeError:
        raise NotFittedError(
            f"The source {type(source).__name__} is not fitted. Fit it first; where it "
            "is cloned (pipelines, searches), wrap it: FrozenEstimator(fitted_model)."
        ) from None
    grown = source._state.network.grown
    return [*banks, *_grown_banks(grown)] if use_grown else banks


def _grown_banks(grown):
    """Grown branches as a bank, their input maps folded into the first layer (C.7)."""
    uses = grown.uses
    mapped = np.flatnonzero(((uses.scale != 1) | (uses.shift != 0)).any(axis=1))
    if not len(mapped):
        return []  # as they are, they are in the bank already
    maps = np.column_stack([uses.branch, uses.scale, uses.shift])[mapped]
    mapped = mapped[np.unique(maps, axis=0, return_index=True)[1]]
    uses = uses.take(mapped)
    weights, biases = folded_layers(grown.bank, uses)
    return [BranchBank(uses.columns, tuple(weights), tuple(biases))]


def _shape(bank):
    return bank.regions.shape[1], tuple(b.shape[1] for b in bank.biases)


def _merged(banks, dtype):
    n_outputs = max(bank.n_outputs for bank in banks)
    padded = [
        np.pad(bank.weights[-1], ((0, 0), (0, 0), (0, n_outputs - bank.n_outputs)))
        for bank in banks
    ]
    hidden = zip(*(bank.weights[:-1] for bank in banks), strict=True)
    weights = [*(np.concatenate(layer) for layer in hidden), np.concatenate(padded)]
    biases = [np.concatenate(b) for b in zip(*(b.biases for b in banks), strict=True)]
    return replace(
        banks[0],
        regions=np.concatenate([bank.regions for bank in banks]),
        weights=tuple(w.astype(dtype) for w in weights),
        biases=tuple(b.astype(dtype) for b in biases),
        window=ONE_PLACE,  # where the source read them; votes have windows of their own
    )
