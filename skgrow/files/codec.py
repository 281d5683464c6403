"""Trees: models as JSON and arrays, and back, without pickle.

Every value that JSON lacks is an object of one key that names its kind. Reading fills
the classes that were registered, and no others, with what `schema.py` declares; it runs
nothing that a tree says, and spends one budget of memory.
"""

from __future__ import annotations

from dataclasses import fields
from math import prod

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator

from skgrow.exceptions import ModelFileError
from skgrow.files.declared import check_fields
from skgrow.files.schema import FIELDS, FITTED, RANDOM_STATE

__all__ = ["ESTIMATORS", "RECORDS", "Budget", "Reader", "Writer", "packed", "register"]

# What may be loaded, by name; classes are told to the codec, which imports none.
RECORDS, ESTIMATORS, CHECKS = {}, {}, []
PACKING = {}  # how the fitted state of an estimator becomes fields, and back
STATE = tuple(FITTED)
PLAIN = (type(None), bool, int, str)
SHARED = {"array", "bits", "strings", "record", "estimator", "frozen", "random_state"}
KINDS = SHARED | {"same", "float", "tuple", "dict", "scalar"}
# Bytes that reading may take, whatever a file says: so many, and so many for each byte of
# the file. Models take up to 6 a byte; a list of numbers in JSON would take 20.
LEAST_BUDGET, BYTES_PER_BYTE = 2**26, 32
NODE_BYTES, OBJECT_BYTES = 64, 4096  # of one value, and of an estimator or random state


def register(records=(), estimators=(), checks=(), packing=()):
    """Let classes be written and read, under their names.

    Parameters
    ----------
    records : iterable of type
        Dataclasses, whose fields `schema.py` declares.
    estimators : iterable of type
    checks : iterable of callable
        Each is called as `check(estimator, budget)` with every estimator that was read,
        and raises ModelFileError where its parts do not make a model.
    packing : tuple of callable
        `pack(estimator)` gives the fields of its fitted state, a dict, and
        `unpack(estimator, fields)` sets that state, all as `schema.FITTED` names them.
    """
    RECORDS.update({cls.__name__: cls for cls in records})
    ESTIMATORS.update({cls.__name__: cls for cls in estimators})
    CHECKS.extend(checks)
    PACKING.update(zip(("pack", "unpack"), packing, strict=False))


def packed(estimator):
    """The fitted state of an estimator, a dict in the order of the schema."""
    fields = PACKING["pack"](estimator)
    return {name: fields[name] for name in STATE if name in fields}


class Budget:
    """Memory that may still be taken while one file is read.

    A value that stands in several places counts in each of them: to compute with it takes
    as much as if the file said it as often.

    Parameters
    ----------
    file_bytes : int
        Length of the file.
    """

    def __init__(self, file_bytes):
        self.left = LEAST_BUDGET + BYTES_PER_BYTE * file_bytes
        self._whole = self.left

    def take(self, n_bytes):
        """Raise ModelFileError if so many bytes are not left."""
        self.left -= n_bytes
        if self.left < 0:
            raise ModelFileError(
                f"it says more than its length allows: more than {self._whole} bytes."
            )


class Writer:
    """Turns a model into a tree for JSON, and collects its arrays."""

    def __init__(self):
        self.arrays = {}
        self.names = {}  # id to what stands for it; objects keep their ids alive
        self.kept = []

    def node(self, value):
        """The value as JSON has it."""
        if isinstance(value, PLAIN):
            return value
        if isinstance(value, float):
            return value if np.isfinite(value) else {"float": str(value)}
        if isinstance(value, list):
            return [self.node(item) for item in value]
        if isinstance(value, tuple):
            return {"tuple": [self.node(item) for item in value]}
        if isinstance(value, dict):
            return {"dict": [[self._value(k), self.node(v)] for k, v in value.items()]}
        if isinstance(value, np.generic):
            return {"scalar": [value.dtype.str, self.node(value.item())]}
        return self._shared(value)

    def _value(self, value):
        """What may be a key, or an entry of an array of objects."""
        node = self.node(value)
        if not _is_value(node):
            self._refuse(value)
        return node

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
            state = {k: self.node(part) for k, part in packed(value).items()}
            return {"estimator": [name, params, state]}
        if isinstance(value, FrozenEstimator):
            return {"frozen": self.node(value.estimator)}
        if isinstance(value, np.random.RandomState):
            return {"random_state": self.node(value.get_state(legacy=True))}
        self._refuse(value)

    def _refuse(self, value):
        raise TypeError(
            f"skgrow.save cannot hold a {type(value).__name__} ({str(value)[:60]!r}); it "
            "holds numbers, strings, arrays of them, lists, dicts and the classes of "
            "skgrow. Put one of these in its place."
        )

    def _array(self, array):
        if array.dtype == bool:
            return {"bits": [self._named(np.packbits(array)), list(array.shape)]}
        if array.dtype.kind in "iuf" and array.dtype.itemsize <= 8:
            native = array.astype(array.dtype.newbyteorder("="), copy=False)
            return {"array": self._named(native)}
        if array.dtype.kind in "UO" and array.ndim == 1:
            entries = [self._value(entry) for entry in array.tolist()]
            return {"strings": [array.dtype.kind, entries]}
        raise TypeError(f"skgrow.save cannot hold an array of {array.dtype}.")

    def _named(self, array):
        name = str(len(self.arrays))
        self.arrays[name] = np.ascontiguousarray(array)
        return name


class Reader:
    """The way back. Raises whatever a tree that makes no sense leads to.

    Parameters
    ----------
    arrays : dict of ndarray
    budget : Budget
    """

    def __init__(self, arrays, budget):
        self.arrays, self.budget = arrays, budget
        self.kept = []  # shared values, and the bytes that each takes with all inside

    def node(self, node):
        """The value that a node of the tree stands for."""
        left = self.budget.left
        self.budget.take(NODE_BYTES)
        if isinstance(node, (*PLAIN, float)):
            return node
        if isinstance(node, list):
            return [self.node(item) for item in node]
        [(kind, content)] = node.items()
        if kind not in KINDS:
            raise ModelFileError(f"unknown kind of value {kind!r}.")
        value = getattr(self, f"_{kind}")(content)
        if kind in SHARED:
            self.kept.append((value, left - self.budget.left))
        return value

    def _value(self, node):
        if not _is_value(node):
            raise ModelFileError(f"{str(node)[:60]} is no key and no entry of an array.")
        return self.node(node)

    def _same(self, content):
        if type(content) is not int or content < 0:
            raise ModelFileError(f"there is no value of number {content!r}.")
        value, n_bytes = self.kept[content]
        self.budget.take(n_bytes)
        return value

    def _float(self, content):
        return {"inf": np.inf, "-inf": -np.inf, "nan": np.nan}[content]

    def _tuple(self, content):
        return tuple(self.node(content))

    def _dict(self, content):
        return {self._value(key): self.node(value) for key, value in content}

    def _scalar(self, content):
        name, value = content
        dtype, value = np.dtype(name), self._value(value)
        if dtype.kind not in "biuf":
            raise ModelFileError(f"a scalar of dtype {name!r} is not loaded.")
        return dtype.type(value)

    def _array(self, content):
        array = self.arrays[content]
        self.budget.take(array.nbytes)
        return array

    def _bits(self, content):
        name, shape = content
        packed, n_bits = self.arrays[name], prod(shape)
        if min(shape, default=0) < 0 or packed.size != -(-n_bits // 8):
            raise ModelFileError(f"{packed.size} bytes are no bits of shape {shape}.")
        self.budget.take(2 * n_bits)
        return np.unpackbits(packed, count=n_bits).astype(bool).reshape(shape)

    def _strings(self, content):
        kind, nodes = content
        self.budget.take(NODE_BYTES * len(nodes))
        values = [self._value(node) for node in nodes]
        if kind == "O":
            array = np.empty(len(values), dtype=object)
            for i, value in enumerate(values):  # of tuples numpy would make dimensions
                array[i] = value
            return array
        if kind != "U" or not all(type(value) is str for value in values):
            raise ModelFileError(f"an array of kind {kind!r} does not hold strings.")
        self.budget.take(4 * len(values) * max(map(len, values), default=0))
        return np.array(values, dtype=str)

    def _record(self, content):
        name, parts = content
        parts = {key: self.node(part) for key, part in parts.items()}
        if name in FIELDS:
            check_fields(name, parts, FIELDS[name])
        return RECORDS[name](**parts)

    def _estimator(self, content):
        name, params, state = content
        self.budget.take(OBJECT_BYTES)
        params = {key: self.node(value) for key, value in params.items()}
        estimator = ESTIMATORS[name](**params)
        state = {key: self.node(value) for key, value in state.items()}
        check_fields(name, state, FITTED)
        PACKING["unpack"](estimator, state)
        if "_network" in state:  # a source need not be fitted any more
            for check in CHECKS:
                check(estimator, self.budget)
        return estimator

    def _frozen(self, content):
        estimator = self.node(content)
        if not isinstance(estimator, BaseEstimator):
            raise ModelFileError("a frozen estimator is no estimator.")
        return FrozenEstimator(estimator)

    def _random_state(self, content):
        self.budget.take(OBJECT_BYTES)
        content = self.node(content)
        parts = dict(zip(RANDOM_STATE, content, strict=True))
        check_fields("RandomState", parts, RANDOM_STATE)
        state = np.random.RandomState()
        state.set_state(content)
        return state


def _is_value(node):
    """Whether a tree is a number, a string, None, or a tuple of these."""
    if isinstance(node, (*PLAIN, float)):
        return True
    if not isinstance(node, dict) or len(node) != 1:
        return False
    [(kind, content)] = node.items()
    if kind == "scalar":
        return isinstance(content, list) and all(map(_is_value, content))
    return kind == "float" or (kind == "tuple" and all(map(_is_value, content)))
