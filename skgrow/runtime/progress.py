"""Progress of long work: a deadline, and scikit-learn's callbacks where they exist."""

from __future__ import annotations

from contextlib import contextmanager
from time import monotonic

from skgrow.exceptions import GrowthStoppedWarning
from skgrow.runtime.user_warnings import warn_user

try:  # scikit-learn >= 1.9; experimental there, so nothing else may depend on it
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback._callback_support import callback_management_context
except ImportError:

    class CallbackSupportMixin:
        """Stands in where scikit-learn has no callbacks."""


__all__ = ["CallbackSupportMixin", "Deadline", "fit_task", "warn_late"]


class Deadline:
    """When `max_time` has passed, and what was left out for it.

    Parameters
    ----------
    seconds : float or None, default=None
        From now on; None for no end.
    """

    def __init__(self, seconds=None):
        self.seconds, self.begin = seconds, monotonic()
        self.missed = []

    @property
    def spent(self):
        """Seconds since the beginning."""
        return monotonic() - self.begin

    def leaves_out(self, step):
        """Whether it has passed; then takes note that a step is left out."""
        late = self.seconds is not None and self.spent > self.seconds
        if late:
            self.missed.append(step)
        return late


def warn_late(deadline):
    """Say what was left out for a deadline that has passed."""
    warn_user(
        f"max_time={deadline.seconds} seconds have passed, and the best so far was kept; "
        f"left out: {', '.join(deadline.missed)}.",
        GrowthStoppedWarning,
    )


@contextmanager
def fit_task(estimator, task_name, n_steps):
    """Report the steps of one piece of work to the callbacks set on the estimator.

    They are set up before it and torn down after it, whatever happens in between, and
    nothing of that stays on the estimator.

    Parameters
    ----------
    estimator : estimator
    task_name : str
        Name of the task as callbacks see it.
    n_steps : int or None
        Steps at most, None when that is not known.

    Yields
    ------
    step : callable
        To be called after each step; True when a callback asks to stop.
    """
    if not hasattr(estimator, "_init_callback_context"):
        yield lambda: False
        return
    with callback_management_context(estimator):
        context = estimator._init_callback_context(
            task_name=task_name, max_subtasks=n_steps
        )
        context.call_on_fit_task_begin(estimator=estimator)

        def step():
            subtask = context.subcontext(task_name="step")
            subtask.call_on_fit_task_begin(estimator=estimator)
            return bool(subtask.call_on_fit_task_end(estimator=estimator))

        try:
            yield step
        finally:
            context.call_on_fit_task_end(estimator=estimator)
