"""What a stored value may be: kinds of declarations, each with its check.

A file may be forged. Every field of a stored class is declared once, in `schema.py`,
and checked here before any other code reads it: the type, and of an array the dtype, the
shape and the range. Whatever differs is a `ModelFileError` that names the field and the
value.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np

from skgrow.exceptions import ModelFileError

__all__ = [
    "Anything",
    "Array",
    "Choice",
    "Each",
    "Facts",
    "Flag",
    "Instance",
    "Maybe",
    "Number",
    "Record",
    "Text",
    "Whole",
    "check_fields",
]


def check_fields(owner, values, declared):
    """Check the fields of one record or model.

    Parameters
    ----------
    owner : str
        Name of the class, for messages.
    values : dict
        Fields by name.
    declared : dict
        Declarations by name; a field without one is refused.

    Raises
    ------
    ModelFileError
        If a field is not declared, or is not as declared.
    """
    lengths = {}  # of the dimensions that have a name, see `Array`
    for name, value in values.items():
        if name not in declared:
            raise ModelFileError(f"{owner} has no field {name!r}.")
        declared[name].check(value, f"{owner}.{name}", lengths)


def _refuse(where, value, wanted):
    raise ModelFileError(f"{where} is {_shown(value)}, not {wanted}.")


def _shown(value):
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    kind = type(value).__name__
    text = repr(value) if isinstance(value, (str, Real, type(None))) else ""
    return f"{text[:60]} of type {kind}" if text else f"a {kind}"


@dataclass(frozen=True)
class Array:
    """An ndarray.

    Attributes
    ----------
    dtypes : tuple of str
        Names of dtypes, or letters of kinds of dtypes.
    shape : tuple
        Of each dimension its length, None for any, or a name: dimensions of one name are
        equally long in all fields of a record.
    least : float, default=None
        Smallest value there may be.
    infinite, missing : bool, default=False
        Whether infinity, or NaN, may stand in it.
    """

    dtypes: tuple
    shape: tuple
    least: float | None = None
    infinite: bool = False
    missing: bool = False

    def check(self, value, where, lengths):
        """Raise ModelFileError unless the value is as declared."""
        wanted = f"an array of {' or '.join(self.dtypes)} and shape {self.shape}"
        if not isinstance(value, np.ndarray) or value.ndim != len(self.shape):
            _refuse(where, value, wanted)
        if not {value.dtype.name, value.dtype.kind} & set(self.dtypes):
            _refuse(where, value, wanted)
        for length, declared in zip(value.shape, self.shape, strict=True):
            if isinstance(declared, str):
                declared = lengths.setdefault(declared, length)
            if declared not in (None, length):
                _refuse(where, value, f"{wanted}, of which {declared} are {length}")
        self._check_range(value, where)

    def _check_range(self, value, where):
        if value.dtype.kind == "f":
            if not self.missing and np.isnan(value).any():
                raise ModelFileError(f"{where} holds NaN.")
            if not self.infinite and np.isinf(value).any():
                raise ModelFileError(f"{where} holds an infinite number.")
        if self.least is not None and value.size:
            lowest = np.fmin.reduce(value, axis=None)
            if lowest < self.least:
                raise ModelFileError(f"{where} holds {lowest}, less than {self.least}.")


@dataclass(frozen=True)
class Each:
    """A tuple, or a list, whose entries are all of one kind."""

    entry: object
    kind: type = tuple

    def check(self, value, where, lengths):
        """Raise ModelFileError unless the value is as declared."""
        if type(value) is not self.kind:
            _refuse(where, value, f"a {self.kind.__name__}")
        for i, entry in enumerate(value):
            self.entry.check(entry, f"{where}[{i}]", lengths)


@dataclass(frozen=True)
class Maybe:
    """None or something else."""

    other: object

    def check(self, value, where, lengths):
        """Raise ModelFileError unless the value is as declared."""
        if value is not None:
            self.other.check(value, where, lengths)


@dataclass(frozen=True)
class Number:
    """A finite real number."""

    least: float = -np.inf
    above: float = -np.inf
    most: float = np.inf
    kind: type = Real
    word: str = "a finite number"

    def check(self, value, where, lengths):
        """Raise ModelFileError unless the value is as declared."""
        is_flag = isinstance(value, (bool, np.bool_))
        if is_flag or not isinstance(value, self.kind) or not abs(value) < np.inf:
            _refuse(where, value, self.word)
        for is_right, wanted in (
            (value >= self.least, f"{self.least} or more"),
            (value > self.above, f"above {self.above}"),
            (value <= self.most, f"{self.most} or less"),
        ):
            if not is_right:
                _refuse(where, value, wanted)


def Whole(least=0, most=np.inf):
    """A whole number from `least` to `most`."""
    return Number(least=least, most=most, kind=Integral, word="a whole number")


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    values: tuple

    def check(self, value, where, lengths):
        """Raise ModelFileError unless the value is as declared."""
        if not any(type(value) is type(v) and value == v for v in self.values):
            _refuse(where, value, f"one of {self.values}")


@dataclass(frozen=True)
class Instance:
    """An instance of a builtin class."""

    kind: type

    def check(self, value, where, lengths):
        """Raise ModelFileError unless the value is as declared."""
        if not isinstance(value, self.kind):
            _refuse(where, value, f"a {self.kind.__name__}")


@dataclass(frozen=True)
class Facts:
    """A dict by strings, of numbers, strings, None, and lists and dicts of these."""

    def check(self, value, where, lengths):
        """Raise ModelFileError unless the value is as declared."""
        if not (isinstance(value, dict) and all(type(key) is str for key in value)):
            _refuse(where, value, "a dict by strings")
        self._check_plain(value, where)

    def _check_plain(self, value, where):
        if isinstance(value, (list, tuple)):
            for entry in value:
                self._check_plain(entry, where)
        elif isinstance(value, dict):
            self._check_plain(list(value.values()), where)
        elif not isinstance(value, (Real, str, type(None))):
            _refuse(f"an entry of {where}", value, "a number or a string")


Flag, Text, Anything = Instance(bool), Instance(str), Instance(object)


@dataclass(frozen=True)
class Record:
    """An instance of one of these classes of data, by their names."""

    names: tuple

    def check(self, value, where, lengths):
        """Raise ModelFileError unless the value is as declared."""
        if type(value).__name__ not in self.names:
            _refuse(where, value, " or ".join(self.names))
