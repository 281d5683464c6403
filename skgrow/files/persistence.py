"""Saving and loading without pickle: arrays in safetensors, structure in JSON.

A file holds the arrays by number and, in its header under the key "skgrow", one JSON
object: "format" (1), "version" (of skgrow), "digest" (SHA-256 of the arrays and of
"parts") and "parts", the JSON of a list of trees (see `codec.py`): the model, and in a
checkpoint where its growth stands. Any reader of safetensors can open it. Loading runs
nothing that is in the file.
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import version

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save as to_safetensors
from sklearn.utils.validation import check_is_fitted

from skgrow.exceptions import ModelFileError
from skgrow.files.codec import ESTIMATORS, Budget, Reader, Writer
from skgrow.files.replacing import is_special, replace_file
from skgrow.files.schema import TENSORS
from skgrow.runtime.surroundings import own_surroundings

__all__ = ["digest", "load", "read", "save", "write"]

FORMAT = 1


def save(model, path):
    """Write a fitted model to one file, which `load` reads to the bit.

    The file is written under a temporary name in the same folder and then renamed: a
    crash leaves the old file as it was, and the next save removes what it left beside it.
    An old file keeps its mode, and a link still leads to it. Metadata routing requests
    and callbacks are not stored.

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
    ValueError
        If `load` would refuse the file, as that of a model whose weights are NaN.
    OSError
        If the file cannot be written, or `path` is a folder, device, pipe or socket.

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
    content, parts = _content([model])
    try:
        _parts(*parts, len(content))
    except ModelFileError as error:
        raise ValueError(
            f"this {type(model).__name__} cannot be saved, since it could not be loaded: "
            f"{error} Fit it again."
        ) from error
    replace_file(path, content)


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
        If it is truncated, altered, no model, no regular file, or written by a later
        skgrow.

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
    replace_file(path, _content(parts)[0])


def _content(parts):
    """The bytes of a file, and the arrays and trees in it."""
    writer = Writer()
    trees = json.dumps([writer.node(part) for part in parts], allow_nan=False)
    header = {
        "format": FORMAT,
        "version": version("skgrow"),
        "digest": _digest(writer.arrays, trees),
        "parts": trees,
    }
    content = to_safetensors(writer.arrays, {"skgrow": json.dumps(header)})
    return content, (writer.arrays, trees)


def read(path):
    """A model and whatever was written with it; raises as `load` does."""
    header, arrays, n_bytes = _read(path)
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
        return _parts(arrays, trees, n_bytes)
    except ModelFileError as error:
        raise ModelFileError(f"{path} holds no usable model: {error}") from error


def _parts(arrays, trees, n_bytes):
    """What the trees of a file of so many bytes say; the first part is a model."""
    try:
        reader = Reader(arrays, Budget(n_bytes))
        parts = [reader.node(tree) for tree in json.loads(trees)]
        name = type(parts[0]).__name__
        if name not in ESTIMATORS or "_state" not in vars(parts[0]):
            raise ModelFileError(f"a {name} is no fitted model.")
    except ModelFileError:
        raise
    except Exception as error:  # whatever a hostile tree makes our classes do
        raise ModelFileError(f"its parts are none of a model ({error!r}).") from error
    return parts


def digest(*values):
    """SHA-256 of values that a file can hold: equal when they are, to the bit."""
    writer = Writer()
    tree = json.dumps([writer.node(value) for value in values])
    return _digest(writer.arrays, tree)


def _read(path):
    """Header, arrays and length; sizes and types are checked before anything is read."""
    if is_special(path):
        raise ModelFileError(f"{path} is a device, a pipe or a socket, and no file.")
    with open(path, "rb") as file:  # an OSError if there is none
        n_bytes = os.fstat(file.fileno()).st_size
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["skgrow"])
            names = file.keys()
            types = {file.get_slice(name).get_dtype() for name in names}
            if not types <= TENSORS:
                raise TypeError(f"numpy has no {', '.join(sorted(types - TENSORS))}")
            arrays = {name: file.get_tensor(name) for name in names}
        if not isinstance(header, dict):
            raise ValueError("the header is no JSON object")
    except Exception as error:  # whatever a hostile header makes its readers do
        raise ModelFileError(f"{path} is no file of skgrow ({error!r}).") from error
    return header, arrays, n_bytes


def _digest(arrays, tree):
    found = hashlib.sha256(tree.encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
