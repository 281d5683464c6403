"""Warnings and errors of skgrow, so that they can be caught by name."""

__all__ = [
    "GrowthStoppedWarning",
    "IgnoredColumnWarning",
    "ModelFileError",
    "ModelVersionWarning",
    "UnseenCategoryWarning",
]


class GrowthStoppedWarning(UserWarning):
    """Growth ended before it had added all the branches that were asked for.

    Or training was interrupted, or `max_time` passed before its end. The message says
    why. What had been done until then is kept.

    Examples
    --------
    >>> import warnings
    >>> from sklearn.datasets import load_iris
    >>> from skgrow import GrowingNAMClassifier, GrowthStoppedWarning
    >>> X, y = load_iris(return_X_y=True)
    >>> nam = GrowingNAMClassifier("features", n_branches=5, max_iter=5, random_state=0)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", GrowthStoppedWarning)
    ...     nam = nam.fit(X, y)
    >>> print(caught[0].message)
    Growth added 0 of 5 branches: the selection set is too small to test anything: ...
    """


class IgnoredColumnWarning(UserWarning):
    """Columns of a frame are left out, since their values hardly repeat.

    Names, customer numbers and free text identify the rows of `fit` and do not help with
    new ones. The network has no term of such a column.

    Examples
    --------
    >>> import warnings
    >>> import pandas as pd
    >>> from skgrow import GrowingNAMClassifier, IgnoredColumnWarning
    >>> X = pd.DataFrame({"age": range(40), "name": [f"person {i}" for i in range(40)]})
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", IgnoredColumnWarning)
    ...     nam = GrowingNAMClassifier(max_iter=5, random_state=0).fit(X, X.age < 20)
    >>> print(caught[0].message)
    Columns whose values hardly repeat are left out: 'name'. ...
    """


class ModelFileError(ValueError):
    """A file is not a model that this version of skgrow can read.

    It is truncated, altered, something else, or written by a later version.

    Examples
    --------
    >>> import pathlib, tempfile, skgrow
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder) / "model.safetensors"
    ...     size = path.write_bytes(b"no model")
    ...     try:
    ...         skgrow.load(path)
    ...     except skgrow.ModelFileError:
    ...         print("fit it again")
    fit it again
    """


class ModelVersionWarning(UserWarning):
    """A pickle was written by another version of skgrow, and may not work with this one.

    `skgrow.save` and `skgrow.load` keep models from one version to the next.

    Examples
    --------
    To refuse such a pickle instead of being warned:

    >>> import warnings
    >>> from skgrow import ModelVersionWarning
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ModelVersionWarning)
    ...     # model = pickle.load(file)
    """


class UnseenCategoryWarning(UserWarning):
    """A column holds values that were not seen in `fit`; they are treated as missing.

    Examples
    --------
    >>> import warnings
    >>> import pandas as pd
    >>> from skgrow import GrowingNAMClassifier, UnseenCategoryWarning
    >>> X = pd.DataFrame({"town": ["Bern", "Oslo"] * 20})
    >>> nam = GrowingNAMClassifier(max_iter=1, random_state=0).fit(X, [0, 1] * 20)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always", UnseenCategoryWarning)
    ...     label = nam.predict(pd.DataFrame({"town": ["Rome"]}))
    >>> "Rome" in str(caught[0].message)
    True
    """
