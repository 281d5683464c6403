"""Saving and loading without pickle: arrays in safetensors, structure in JSON.

A file holds the arrays by number and, in its header under the key "skgrow", one JSON
object: "format" (1), "version" (of skgrow), "digest" (SHA-256 of the arrays and of
"model") and "model", a tree in which every value that JSON lacks is an object of one
key that names its kind. Any reader of safetensors can open it. Loading runs nothing
that is in the file: it fills the classes listed here, and no others.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skgrow.bank import BranchBank
from skgrow.election import ElectionTransferClassifier
from skgrow.exceptions import ModelFileError
from skgrow.growth.candidates import Candidates
from skgrow.growth.clustering import Clusters
from skgrow.growth.grown import GrownBranches, Network
from skgrow.growth.voting import Electorate, Tally
from skgrow.nam import GrowingNAMClassifier
from skgrow.regions import ImagePatches, Regions
from skgrow.scaling import PixelScaler, QuantileScaler

__all__ = ["load", "save"]

FORMAT = 1
MAX_FEATURES = 10**7  # a row of a model that claims more is not tried
RECORDS = {
    cls.__name__: cls
    for cls in (
        BranchBank, Candidates, Clusters, Electorate, GrownBranches, ImagePatches,
        Network, PixelScaler, QuantileScaler, Regions, Tally,
    )
}  # fmt: skip
ESTIMATORS = {
    cls.__name__: cls for cls in (GrowingNAMClassifier, ElectionTransferClassifier)
}
STATE = (
    "classes_", "n_features_in_", "feature_names_in_", "growth_history_", "loss_curve_",
    "validation_curve_", "n_iter_", "_network", "_scaler", "_regions", "_seed",
    "_clusters", "_source_classes",
)  # fmt: skip
PLAIN = (type(None), bool, int, str)
SHARED = {"array", "strings", "record", "estimator", "frozen", "random_state"}
KINDS = SHARED | {"same", "float", "tuple", "dict", "scalar"}


def save(model, path):
    """Write a fitted model to one file, which `load` reads to the bit.

    The file is written under a temporary name in the same folder and then renamed: a
    crash leaves the old file as it was. Metadata routing requests and callbacks are not
    stored.

    Parameters
    ----------
    model : GrowingNAMClassifier or ElectionTransferClassifier
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
    writer = _Writer()
    tree = json.dumps(writer.node(model), allow_nan=False)
    header = {
        "format": FORMAT,
        "version": version("skgrow"),
        "digest": _digest(writer.arrays, tree),
        "model": tree,
    }
    _write(to_safetensors(writer.arrays, {"skgrow": json.dumps(header)}), Path(path))


def load(path):
    """Read a model that `save` has written. No code of the file is run.

    Parameters
    ----------
    path : str or path-like

    Returns
    -------
    model : GrowingNAMClassifier or ElectionTransferClassifier

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ModelFileError
        If it is truncated, altered, no model, or written by a later skgrow.

    Examples
    --------
    See `save`.
    """
    header, arrays = _read(path)
    if header.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} has format {header.get('format')!r}, written by skgrow "
            f"{header.get('version')!r}; this is skgrow {version('skgrow')}, which reads "
            f"format {FORMAT}. Install a skgrow that is as new."
        )
    tree = header.get("model")
    if not isinstance(tree, str) or header.get("digest") != _digest(arrays, tree):
        raise ModelFileError(f"{path} was altered: its digest does not fit.")
    try:
        model = _Reader(arrays).node(json.loads(tree))
        _try(model)
    except ModelFileError:
        raise
    except Exception as error:  # whatever a hostile tree makes our classes do
        raise ModelFileError(f"{path} holds no usable model ({error!r}).") from error
    return model


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
    network = model._network
    row = np.zeros((1, n_features), dtype=network.grown.bank.dtype)
    logits = network.logits(row, model._scaler)
    if logits.shape != (1, len(model.classes_)):
        raise ModelFileError("the scores and the classes do not fit together.")


class _Writer:
    """Turns a model into a tree for JSON, and collects its arrays."""

    def __init__(self):
        self.arrays = {}
        self.names = {}  # id to what stands for it; objects keep their ids alive
        self.kept = []

    def node(self, value):
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, float):
            return value if np.isfinite(value) else {"float": str(value)}
        if isinstance(value, list):
            return [self.node(item) for item in value]
        if isinstance(value, tuple):
            return {"tuple": [self.node(item) for item in value]}
        if isinstance(value, dict):
            return {"dict": [[self.node(k), self.node(v)] for k, v in value.items()]}
        if isinstance(value, np.generic):
            return {"scalar": [value.dtype.str, self.node(value.item())]}
        return self._shared(value)

    def _shared(self, value):
        """What may stand in several places and must be one thing again."""
        if id(value) in self.names:
            return {"same": self.names[id(value)]}
        node = self._object(value)
        self.names[id(value)] = len(self.kept)
        self.kept.append(value)
        return node

    def _object(self, value):
        name = type(value).__name__
        if isinstance(value, np.ndarray):
            return self._array(value)
        if RECORDS.get(name) is type(value):
            parts = {f.name: self.node(getattr(value, f.name)) for f in fields(value)}
            return {"record": [name, parts]}
        if ESTIMATORS.get(name) is type(value):
            params = {k: self.node(v) for k, v in value.get_params(deep=False).items()}
            state = {k: self.node(vars(value)[k]) for k in STATE if k in vars(value)}
            return {"estimator": [name, params, state]}
        if isinstance(value, FrozenEstimator):
            return {"frozen": self.node(value.estimator)}
        if isinstance(value, np.random.RandomState):
            return {"random_state": self.node(value.get_state(legacy=True))}
        raise TypeError(
            f"skgrow.save cannot hold a {name} ({str(value)[:60]!r}); it holds numbers, "
            "strings, arrays of them, lists, dicts and the classes of skgrow."
        )

    def _array(self, array):
        if array.dtype.kind in "biuf" and array.dtype.itemsize <= 8:
            name = str(len(self.arrays))
            native = array.astype(array.dtype.newbyteorder("="), copy=False)
            self.arrays[name] = np.ascontiguousarray(native)
            return {"array": name}
        if array.dtype.kind in "UO" and array.ndim == 1:
            return {"strings": [array.dtype.kind, [self.node(v) for v in array.tolist()]]}
        raise TypeError(f"skgrow.save cannot hold an array of {array.dtype}.")


class _Reader:
    """The way back. Raises whatever a tree that makes no sense leads to."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.kept = []

    def node(self, node):
        if isinstance(node, (*PLAIN, float)):
            return node
        if isinstance(node, list):
            return [self.node(item) for item in node]
        [(kind, content)] = node.items()
        if kind not in KINDS:
            raise ModelFileError(f"unknown kind of value {kind!r}.")
        value = getattr(self, f"_{kind}")(content)
        if kind in SHARED:
            self.kept.append(value)
        return value

    def _same(self, content):
        return self.kept[content]

    def _float(self, content):
        return {"inf": np.inf, "-inf": -np.inf, "nan": np.nan}[content]

    def _tuple(self, content):
        return tuple(self.node(content))

    def _dict(self, content):
        return {self.node(key): self.node(value) for key, value in content}

    def _scalar(self, content):
        name, value = content
        dtype = np.dtype(name)
        if dtype.kind not in "biuf":
            raise ModelFileError(f"a scalar of dtype {name!r} is not loaded.")
        return dtype.type(self.node(value))

    def _array(self, content):
        return self.arrays[content]

    def _strings(self, content):
        name, values = content
        return np.array(self.node(values), dtype={"U": str, "O": object}[name])

    def _record(self, content):
        name, parts = content
        return RECORDS[name](**{key: self.node(part) for key, part in parts.items()})

    def _estimator(self, content):
        name, params, state = content
        params = {key: self.node(value) for key, value in params.items()}
        estimator = ESTIMATORS[name](**params)
        if not set(state) <= set(STATE):
            raise ModelFileError(f"unknown parts of a model: {set(state) - set(STATE)}.")
        vars(estimator).update({key: self.node(value) for key, value in state.items()})
        return estimator

    def _frozen(self, content):
        estimator = self.node(content)
        if not isinstance(estimator, BaseEstimator):
            raise ModelFileError("a frozen estimator is no estimator.")
        return FrozenEstimator(estimator)

    def _random_state(self, content):
        state = np.random.RandomState()
        state.set_state(self.node(content))
        return state
