"""What policies and their parameters may be, checked before any training."""

from __future__ import annotations

from inspect import get_annotations, isfunction
from numbers import Integral, Real
from typing import Protocol, runtime_checkable

from sklearn.utils._param_validation import Interval

from skgrow.growth.inside.protocols import Begins, Shrinks, Sizes

__all__ = ["COUNT", "OPEN_SHARE", "POSITIVE", "SHARE", "SIZE", "as_policy", "check_axis"]

COUNT = [Interval(Integral, 0, None, closed="left")]
POSITIVE = [Interval(Integral, 1, None, closed="left")]
SIZE = [Interval(Real, 0, None, closed="left")]
SHARE = [Interval(Real, 0, 1, closed="both")]
OPEN_SHARE = [Interval(Real, 0, 1, closed="right")]
# Who has one method of these must have all that belongs to it.
OPTIONAL = (Begins, Shrinks, Sizes)


@runtime_checkable
class _Constrained(Protocol):
    """Declares its parameters as scikit-learn's estimators do; a user's own need not."""

    _parameter_constraints: dict

    def _validate_params(self): ...


def as_policy(parameter, value, words, protocol):
    """The policy that a name or an object means.

    Parameters
    ----------
    parameter : str
        Name of the estimator's parameter, for messages.
    value : str or object
    words : dict of str to type
    protocol : type
        `How`, `Where` or `When`.

    Returns
    -------
    policy : object

    Raises
    ------
    ValueError
        If it is an unknown word, if the object lacks what the protocol declares, or if
        one of its parameters is wrong.
    """
    if isinstance(value, str):
        if value not in words:
            raise ValueError(
                f"The {parameter!r} parameter is {value!r}; it must be one of "
                f"{sorted(words)}, or an object as skgrow.policies.{protocol.__name__}."
            )
        value = words[value]()
    if isinstance(value, type):
        raise ValueError(
            f"The {parameter!r} parameter is the class {value.__name__}; pass an object "
            f"of it, {parameter}={value.__name__}()."
        )
    _check_complete(parameter, value, protocol)
    for optional in OPTIONAL:
        if not _methods(optional).isdisjoint(dir(value)):
            _check_complete(parameter, value, optional)
    if isinstance(value, _Constrained):
        value._validate_params()
    return value


def check_axis(parameter, policy, known):
    """Raise ValueError unless the policy has a known axis."""
    if policy.axis not in known:
        raise ValueError(
            f"The {parameter!r} parameter is {policy!r}, whose axis is {policy.axis!r}; "
            f"it must be one of {known}."
        )


def _check_complete(parameter, policy, protocol):
    if isinstance(policy, protocol):
        return
    called = {name: f"{name}()" for name in _methods(protocol)}
    called |= {name: name for name in get_annotations(protocol)}
    missing = sorted(called.keys() - set(dir(policy))) or sorted(called)
    raise ValueError(
        f"The {parameter!r} parameter is {policy!r}, which lacks "
        f"{' and '.join(called[name] for name in missing)}; "
        f"skgrow.policies.{protocol.__name__} says what it must have."
    )


def _methods(protocol):
    """Names of the methods that a protocol declares."""
    return {n for n, v in vars(protocol).items() if isfunction(v) and n[0] != "_"}
