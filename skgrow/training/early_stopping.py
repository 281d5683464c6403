"""Early stopping: when a loss no longer falls, and how many rows it takes to judge."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["MANY_ROWS", "MANY_STEADY_ROWS", "LossWatch", "holds_out"]

# "auto" holds rows out above so many. One cycle of learning rates ends in small steps,
# after a number of passes that was asked for; few rows are then better spent on training.
# At a steady rate training goes on until something stops it.
MANY_ROWS, MANY_STEADY_ROWS = 10_000, 1000


def holds_out(early_stopping, n_rows, many_rows):
    """Whether rows are held out to stop by.

    Parameters
    ----------
    early_stopping : bool or "auto"
    n_rows : int
    many_rows : int
        Above so many "auto" does.
    """
    return n_rows > many_rows if early_stopping == "auto" else bool(early_stopping)


@dataclass
class LossWatch:
    """The best of the losses so far.

    Parameters
    ----------
    tol : float
        Smallest fall that counts.
    n_iter_no_change : int
        Passes without one that end training.

    Examples
    --------
    >>> from skgrow.training.early_stopping import LossWatch
    >>> watch = LossWatch(tol=0.1, n_iter_no_change=2)
    >>> [watch.falls(loss) for loss in (1.0, 0.95, 0.8, 0.79)]
    [True, False, True, False]
    >>> watch.n_iter, watch.best_iter, watch.is_over
    (4, 3, False)
    """

    tol: float
    n_iter_no_change: int
    n_iter: int = 0
    best_iter: int = 0
    best_loss: float = np.inf

    def falls(self, loss):
        """Take note of one more loss; whether it is lower than the best by `tol`."""
        self.n_iter += 1
        if not loss < self.best_loss - self.tol:
            return False
        self.best_iter, self.best_loss = self.n_iter, loss
        return True

    @property
    def is_over(self):
        """Whether so many passes have brought nothing."""
        return self.n_iter - self.best_iter >= self.n_iter_no_change
