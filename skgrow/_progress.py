"""Progress of long work: a line a step, and scikit-learn's callbacks where they exist."""

from __future__ import annotations

from contextlib import contextmanager

try:  # scikit-learn >= 1.9; experimental there, so nothing else may depend on it
    from sklearn.callback import CallbackSupportMixin
    from sklearn.callback._callback_support import callback_management_context
except ImportError:

    class CallbackSupportMixin:
        """Stands in where scikit-learn has no callbacks."""


__all__ = ["CallbackSupportMixin", "fit_task"]


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
