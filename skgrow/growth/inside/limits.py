"""What the parameters of policies may be, in scikit-learn's terms."""

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval

__all__ = ["COUNT", "OPEN_SHARE", "POSITIVE", "SHARE", "SIZE", "check_policy"]

COUNT = [Interval(Integral, 0, None, closed="left")]
POSITIVE = [Interval(Integral, 1, None, closed="left")]
SIZE = [Interval(Real, 0, None, closed="left")]
SHARE = [Interval(Real, 0, 1, closed="both")]
OPEN_SHARE = [Interval(Real, 0, 1, closed="right")]


def check_policy(policy):
    """The policy, or a ValueError; a user's own need not say what it takes."""
    if hasattr(policy, "_parameter_constraints"):
        policy._validate_params()
    return policy
