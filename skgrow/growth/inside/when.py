"""When a network grows: at the end of which passes over the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator

from skgrow.growth.inside.limits import COUNT, POSITIVE, SIZE

__all__ = ["WHEN", "Never", "Periodic", "Plateau"]


@dataclass(repr=False, eq=False)
class Plateau(BaseEstimator):
    """Grow when the loss has not fallen for some passes.

    The loss is that of held-out rows where there are any, else that of training.

    Parameters
    ----------
    patience : int, default=3
        Passes since the last fall or the last growth.
    tol : float, default=1e-3
        Smallest fall, in units of the loss, that counts.
    """

    patience: int = 3
    tol: float = 1e-3

    _parameter_constraints = {"patience": POSITIVE, "tol": SIZE}

    def due(self, losses, events):
        """Whether to grow now: `losses` of all passes, `events` the passes of growth."""
        since = losses[events[-1] :] if events else losses
        if len(since) <= self.patience:
            return False
        earlier = np.min(since[: -self.patience])
        return np.min(since[-self.patience :]) > earlier - self.tol


@dataclass(repr=False, eq=False)
class Periodic(BaseEstimator):
    """Grow after every so many passes, whether training has settled or not.

    AutoGrow found this better than to wait for convergence; GradMax grows so too.

    Parameters
    ----------
    every : int, default=3
        Passes from one growth to the next.
    n_events : int, default=12
        Growths at most.
    patience : int, default=None
        Growth ends for good once the loss has not fallen for so many passes (AutoGrow);
        None never ends it.
    tol : float, default=1e-3
        Smallest fall, in units of the loss, that counts.
    """

    every: int = 3
    n_events: int = 12
    patience: int | None = None
    tol: float = 1e-3

    _parameter_constraints = {
        "every": POSITIVE,
        "n_events": COUNT,
        "patience": [*POSITIVE, None],
        "tol": SIZE,
    }

    def due(self, losses, events):
        """Whether to grow now, see `Plateau.due`."""
        in_time = len(events) < self.n_events and len(losses) % self.every == 0
        return in_time and not (self.patience and self._settled(np.asarray(losses)))

    def _settled(self, losses):
        """Whether the loss has once stood still for `patience` passes."""
        if len(losses) <= self.patience:
            return False
        lowest = np.minimum.accumulate(losses)
        return bool((lowest[self.patience :] > lowest[: -self.patience] - self.tol).any())


@dataclass(repr=False, eq=False)
class Never(BaseEstimator):
    """Grow only when `grow` is called."""

    def due(self, losses, events):
        """False."""
        return False


WHEN = {"plateau": Plateau, "periodic": Periodic, "never": Never}
