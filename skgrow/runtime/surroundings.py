"""What every public verb of an estimator has around it: own surroundings, whole state."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import wraps

import numpy as np
import torch

__all__ = ["changes", "own_surroundings", "reads"]

AUTOCAST_DEVICES = ("cpu", "cuda", "mps", "xpu")
# numpy's own defaults; a caller may have asked for errors where numbers overflow.
FLOATING_POINT = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


@contextmanager
def own_surroundings():
    """Compute as if nothing of torch and numpy had been set by the caller.

    `torch.no_grad`, `torch.inference_mode`, `torch.autocast`, another default device and
    `numpy.errstate` hold for a thread, and would change or break what is computed here.
    The default dtype holds for the process; nothing here depends on it.
    """
    with ExitStack() as stack:
        stack.enter_context(np.errstate(**FLOATING_POINT))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":  # entered, it slows every call
            stack.enter_context(torch.device("cpu"))
        for kind in AUTOCAST_DEVICES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


def changes(verb):
    """Make a verb change an estimator at once, when all is done, or not at all.

    It works on a shallow copy, which suffices since fitted state is never changed in
    place. Threads that predict meanwhile see the state of before. Where the verb fails, a
    `RandomState` among the parameters is put back too.
    """

    @wraps(verb)
    def whole(self, *args, **kwargs):
        copied = _copy(self)
        drawn = [v for v in vars(self).values() if isinstance(v, np.random.RandomState)]
        before = [state.get_state() for state in drawn]
        try:
            with own_surroundings():
                verb(copied, *args, **kwargs)
        except BaseException:
            for state, content in zip(drawn, before, strict=True):
                state.set_state(content)
            raise
        # Parameters may have been set meanwhile.
        names = self._get_param_names()
        parameters = {name: vars(self)[name] for name in names if name in vars(self)}
        self.__dict__ = {**vars(copied), **parameters}
        return self

    return whole


def reads(verb):
    """Make a verb see one state of an estimator, whatever other threads do to it."""

    @wraps(verb)
    def steady(self, *args, **kwargs):
        with own_surroundings():
            return verb(_copy(self), *args, **kwargs)

    return steady


def _copy(estimator):
    copied = object.__new__(type(estimator))
    vars(copied).update(vars(estimator))
    return copied
