"""Checks of what the user passes in; every message names the value and the cure."""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import unique_labels
from sklearn.utils.validation import _check_sample_weight

HUGE_WEIGHT = 1e15  # float32 would soon hold infinity instead, or 0 for its inverse
FAINT_WEIGHT = 1e-20  # of the largest: it changes no sum, and float32 would soon hold 0

__all__ = [
    "check_classes",
    "check_device",
    "check_hidden_layers",
    "check_labels",
    "check_n_branches",
    "check_partial_class_weight",
    "check_weights",
]


def check_device(device):
    """Return `device` if torch can compute there, else raise ValueError."""
    try:
        torch.zeros(1, device=torch.device(device))
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ValueError(
            f"device={device!r} cannot be used here ({str(error).splitlines()[0]}); "
            'use device="cpu".'
        ) from error
    return device


def check_classes(classes, known):
    """All labels there will ever be, as `partial_fit` gets them.

    Parameters
    ----------
    classes : array-like of shape (n_classes,) or None
    known : ndarray or None
        Those of the first call; None at that call, which needs `classes`.

    Returns
    -------
    classes : ndarray
        Each once, ascending.
    """
    if known is None and classes is None:
        raise ValueError("classes must be passed on the first call to partial_fit.")
    if classes is None:
        return known
    classes = unique_labels(classes)
    if known is not None and not np.array_equal(known, classes):
        raise ValueError(
            f"classes={classes.tolist()} are not those of the first call to partial_fit "
            f"or fit, which were {known.tolist()}; pass these or none."
        )
    return classes


def check_hidden_layers(sizes):
    """Widths of the hidden layers as a tuple, or ValueError."""
    sizes = tuple(sizes)
    whole = all(isinstance(s, Integral) and not isinstance(s, bool) for s in sizes)
    if not sizes or not whole or min(sizes) < 1:
        raise ValueError(
            "hidden_layer_sizes must hold one positive whole number or more, got "
            f"{sizes!r}."
        )
    return sizes


def check_labels(y, classes):
    """Class numbers of `y`, or ValueError when it holds a label not seen in `fit`."""
    if (y.dtype.kind in "biuf") != (classes.dtype.kind in "biuf"):
        raise ValueError(  # numpy would compare 10 with "9" as strings
            f"y holds labels of dtype {y.dtype}, but the classes seen in fit are of "
            f"dtype {classes.dtype}; pass labels of one kind."
        )
    # numpy would compare numbers of different dtypes as float64, where 2**53 + 1 is
    # 2**53; those of Python are compared as they are.
    number = {label: i for i, label in enumerate(classes.tolist())}
    labels, place = np.unique(y, return_inverse=True)
    labels = labels.tolist()
    unseen = [label for label in labels if label not in number]
    if unseen:
        raise ValueError(
            f"y holds labels that were not seen in fit: {unseen[:10]}; the "
            f"classes are {classes.tolist()[:10]}. Fit again with all classes."
        )
    return np.array([number[label] for label in labels], dtype=np.int64)[place]


def check_n_branches(n_branches):
    """Return `n_branches` as int, or raise ValueError when it is no count."""
    if isinstance(n_branches, bool) or not isinstance(n_branches, Integral):
        raise ValueError(
            f"n_branches must be a whole number, got {n_branches!r} of type "
            f"{type(n_branches).__name__}."
        )
    if n_branches < 0:
        raise ValueError(f"n_branches must be 0 or more, got {n_branches}.")
    return int(n_branches)


def check_partial_class_weight(class_weight):
    """Raise ValueError where the weights of classes need rows that are not there yet."""
    if isinstance(class_weight, str):
        raise ValueError(
            f'class_weight="{class_weight}" cannot be used with partial_fit, which sees '
            "only a part of the rows; pass a dict of weights."
        )


def check_weights(sample_weight, class_weight, X, y):
    """Weights `(n_samples,)` of the rows, class weights included; faint ones become 0.

    Raises
    ------
    ValueError
        If a weight of a row or of a class is negative, or all are 0.
    """
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    if class_weight is not None:
        _check_class_weight(class_weight)
        weight = weight * compute_sample_weight(class_weight, y)
    if not weight.any():
        raise ValueError(
            "All sample weights are zero; at least one row must have a positive weight."
        )
    largest = weight.max()
    if not 1 / HUGE_WEIGHT < largest < HUGE_WEIGHT:
        weight = weight / largest
    return np.where(weight < FAINT_WEIGHT * weight.max(), 0, weight)


def _check_class_weight(class_weight):
    weights = class_weight if isinstance(class_weight, dict) else {}
    for label, weight in weights.items():
        if not 0 <= weight < np.inf:
            raise ValueError(
                f"class_weight[{label!r}] is {weight!r}; the weight of a class must be a "
                "finite number of 0 or more."
            )
