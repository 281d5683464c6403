"""Saving and loading without pickle: arrays in safetensors, structure in JSON.

A file holds the arrays by number and, in its header under the key "skgrow", one JSON
object: "format" (1), "version" (of skgrow), "digest" (SHA-256 of the arrays and of
"parts") and "parts", the JSON of a list of trees (see `_trees.py`): the model, and in a
checkpoint where its growth stands. Any reader of safetensors can open it. Loading runs
nothing that is in the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors
from sklearn.base import is_regressor
from sklearn.utils.validation import check_is_fitted

from skgrow._trees import ESTIMATORS, Reader, Writer
from skgrow._verbs import own_surroundings
from skgrow.curves import Curves
from skgrow.exceptions import ModelFileError
from skgrow.perceptron import Perceptron
from skgrow.surfaces import Surfaces
from skgrow.tables import Table

__all__ = ["digest", "load", "read", "save", "write"]

FORMAT = 1
MAX_FEATURES = 10**7  # a row of a model that claims more is not tried


def save(model, path):
    """Write a fitted model to one file, which `load` reads to the bit.

    The file is written under a temporary name in the same folder and then renamed: a
    crash leaves the old file as it was. Metadata routing requests and callbacks are not
    stored.

    Parameters
    ----------
    model : estimator of skgrow
    path : str or path-like
        By custom ending in ".safetensors".

    Raises
    ------
    NotFittedError
        If the model is not fitted.
    TypeError
        If it is no model of skgrow, or a parameter or label is of a kind that the file
        cannot hold.

    Examples
    --------
    >>> import tempfile, pathlib, skgrow
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> nam = skgrow.GrowingNAMClassifier(max_iter=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "iris.safetensors"
    ...     skgrow.save(nam, path)
    ...     again = skgrow.load(path)
    >>> bool((again.predict_proba(X) == nam.predict_proba(X)).all())
    True
    """
    if type(model).__name__ not in ESTIMATORS:
        raise TypeError(
            f"skgrow.save writes {', '.join(ESTIMATORS)}, got {type(model).__name__}. "
            "Save the steps of a pipeline one by one."
        )
    check_is_fitted(model)
    write([model], path)


@own_surroundings()
def load(path):
    """Read a model that `save` has written. No code of the file is run.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    model : estimator of skgrow

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ModelFileError
        If it is truncated, altered, no model, or written by a later skgrow.

    Examples
    --------
    >>> import pathlib, tempfile, skgrow
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> nam = skgrow.GrowingNAMClassifier(max_iter=1, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     skgrow.save(nam, pathlib.Path(folder) / "iris.safetensors")
    ...     skgrow.load(pathlib.Path(folder) / "iris.safetensors")
    GrowingNAMClassifier(max_iter=1, random_state=0)
    """
    return read(path)[0]


def write(parts, path):
    """Write a model and whatever goes with it, as `save` does."""
    writer = Writer()
    trees = json.dumps([writer.node(part) for part in parts], allow_nan=False)
    header = {
        "format": FORMAT,
        "version": version("skgrow"),
        "digest": _digest(writer.arrays, trees),
        "parts": trees,
    }
    _write(to_safetensors(writer.arrays, {"skgrow": json.dumps(header)}), Path(path))


def read(path):
    """A model and whatever was written with it; raises as `load` does."""
    header, arrays = _read(path)
    if header.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} has format {header.get('format')!r}, written by skgrow "
            f"{header.get('version')!r}; this is skgrow {version('skgrow')}, which reads "
            f"format {FORMAT}. Install a skgrow that is as new."
        )
    trees = header.get("parts")
    if not isinstance(trees, str) or header.get("digest") != _digest(arrays, trees):
        raise ModelFileError(f"{path} was altered: its digest does not fit.")
    try:
        reader = Reader(arrays)
        parts = [reader.node(tree) for tree in json.loads(trees)]
        _try(parts[0])
    except ModelFileError:
        raise
    except Exception as error:  # whatever a hostile tree makes our classes do
        raise ModelFileError(f"{path} holds no usable model ({error!r}).") from error
    return parts


def digest(*values):
    """SHA-256 of values that a file can hold: equal when they are, to the bit."""
    writer = Writer()
    tree = json.dumps([writer.node(value) for value in values])
    return _digest(writer.arrays, tree)


def _write(content, path):
    beside = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _read(path):
    """Header and arrays; sizes are checked against the file before anything is read."""
    with open(path, "rb"):  # an OSError if there is none
        pass
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["skgrow"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if not isinstance(header, dict):
            raise ValueError("the header is no JSON object")
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} is no file of skgrow ({error!r}).") from error
    return header, arrays


def _digest(arrays, tree):
    found = hashlib.sha256(tree.encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _try(model):
    """Predict one row: parts that do not fit together fail here, not later."""
    if type(model).__name__ not in ESTIMATORS:
        raise ModelFileError(f"the file holds a {type(model).__name__}, not a model.")
    n_features = model.n_features_in_
    if not 0 < n_features <= MAX_FEATURES:
        raise ModelFileError(f"a model of {n_features} columns is not loaded.")
    table = vars(model).get("_table")
    if not (table is None or isinstance(table, Table)) or (
        table and not len(table.names) == len(table.categories) == n_features
    ):
        raise ModelFileError("the columns and their categories do not fit together.")
    network = model._network
    for name, kind in (("curves", Curves), ("surfaces", Surfaces)):
        part = getattr(network, name, None)
        if part is not None and not (
            isinstance(part, kind)
            and part.fits(n_features)
            and part.values.shape[1:] == network.intercept.shape
        ):
            raise ModelFileError(f"the {name} do not fit the columns.")
    if isinstance(network, Perceptron) and not network.is_sound():
        raise ModelFileError("the layers do not fit together.")
    if is_regressor(model):
        mean, spread = model._target
        if not (np.isfinite(mean) and 0 <= spread < np.inf):
            raise ModelFileError(f"a target of scale {spread!r} is not loaded.")
    row = np.zeros((1, n_features), dtype=model._dtype)
    logits = model._scores(row, "cpu")
    if logits.shape != (1, model._n_outputs):
        raise ModelFileError("the scores and the classes do not fit together.")
