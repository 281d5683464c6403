"""Trees: models as JSON and arrays, and back, without pickle.

Every value that JSON lacks is an object of one key that names its kind. Reading fills
the classes listed here, and no others; it runs nothing that a tree says.
"""

from __future__ import annotations

from dataclasses import fields
from math import prod

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skgrow.bank import BranchBank
from skgrow.curves import Curves
from skgrow.election import ElectionTransferClassifier
from skgrow.exceptions import ModelFileError
from skgrow.growth.candidates import Candidates
from skgrow.growth.clustering import Clusters
from skgrow.growth.counting import Counting
from skgrow.growth.grown import GrownBranches, Network
from skgrow.growth.masking import Masking
from skgrow.growth.nominees import Nominees
from skgrow.growth.rounds import Progress
from skgrow.growth.voting import Electorate, Tally
from skgrow.mlp import GrowingMLPClassifier, GrowingMLPRegressor
from skgrow.nam import GrowingNAMClassifier
from skgrow.nam_regressor import GrowingNAMRegressor
from skgrow.perceptron import Layer, Perceptron
from skgrow.policies.how import HOW
from skgrow.policies.when import WHEN
from skgrow.policies.where import WHERE, At
from skgrow.regions import ImagePatches, Regions
from skgrow.scaling import PixelScaler, QuantileScaler
from skgrow.surfaces import Surfaces
from skgrow.tables import Table

__all__ = ["ESTIMATORS", "Reader", "Writer"]

RECORDS = {
    cls.__name__: cls
    for cls in (
        BranchBank, Candidates, Clusters, Counting, Curves, Electorate, GrownBranches,
        ImagePatches, Layer, Masking, Network, Nominees, Perceptron, PixelScaler,
        Progress, QuantileScaler, Regions, Surfaces, Table, Tally,
        At, *HOW.values(), *WHEN.values(), *WHERE.values(),
    )
}  # fmt: skip
ESTIMATORS = {
    cls.__name__: cls
    for cls in (
        GrowingNAMClassifier, GrowingNAMRegressor, ElectionTransferClassifier,
        GrowingMLPClassifier, GrowingMLPRegressor,
    )
}  # fmt: skip
STATE = (
    "classes_", "n_features_in_", "feature_names_in_", "growth_history_", "loss_curve_",
    "validation_curve_", "n_iter_", "_network", "_scaler", "_regions", "_seed",
    "_clusters", "_source_classes", "_table", "_target",
    "_n_replicas", "n_training_multiply_adds_",
)  # fmt: skip
PLAIN = (type(None), bool, int, str)
SHARED = {"array", "bits", "strings", "record", "estimator", "frozen", "random_state"}
KINDS = SHARED | {"same", "float", "tuple", "dict", "scalar"}


class Writer:
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
        if array.dtype == bool:
            return {"bits": [self._named(np.packbits(array)), list(array.shape)]}
        if array.dtype.kind in "iuf" and array.dtype.itemsize <= 8:
            native = array.astype(array.dtype.newbyteorder("="), copy=False)
            return {"array": self._named(native)}
        if array.dtype.kind in "UO" and array.ndim == 1:
            return {"strings": [array.dtype.kind, [self.node(v) for v in array.tolist()]]}
        raise TypeError(f"skgrow.save cannot hold an array of {array.dtype}.")

    def _named(self, array):
        name = str(len(self.arrays))
        self.arrays[name] = np.ascontiguousarray(array)
        return name


class Reader:
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

    def _bits(self, content):
        name, shape = content
        packed, n_bits = self.arrays[name], prod(shape)
        if min(shape, default=0) < 0 or packed.size != -(-n_bits // 8):
            raise ModelFileError(f"{packed.size} bytes are no bits of shape {shape}.")
        return np.unpackbits(packed, count=n_bits).astype(bool).reshape(shape)

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
