"""When a round of growth counts."""

from types import SimpleNamespace

import numpy as np
import pytest

from skgrow.growth.reuse.plan import Stopping
from skgrow.growth.reuse.rounds import Progress


class Standing:
    """What growth knows after a round: the losses of four held-out rows."""

    def __init__(self, losses, sample_weight=(1.0, 1.0, 1.0, 1.0)):
        self.losses, self.network = np.array(losses), object()
        self.selection = SimpleNamespace(held_out_weight=np.array(sample_weight))

    def held_out_losses(self):
        return self.losses


def plan(**parameters):
    settings = {"tol": 1e-4, "n_errors": 1.0, "n_rounds": 2, "max_time": None}
    return SimpleNamespace(stopping=Stopping(**{**settings, **parameters}))


BASE = Standing([1.0, 1.0, 1.0, 1.0])
# Falls by 0.1 with a standard error of 0.0707, and by 0.1 with one of 0.158.
CLEAR = Standing([0.7, 0.9, 1.0, 1.0])
UNCLEAR = Standing([0.4, 1.0, 1.2, 1.0])


@pytest.mark.parametrize(
    ("standing", "n_errors", "counts"),
    [
        (CLEAR, 1.0, True),
        (CLEAR, 2.0, False),
        (UNCLEAR, 1.0, False),
        (UNCLEAR, 0.0, True),
        (Standing([0.9999, 1.0, 1.0, 1.0]), 0.0, False),  # less than `tol`
    ],
)
def test_a_fall_counts_beyond_its_standard_error(standing, n_errors, counts):
    progress = Progress.of(BASE).after(standing, plan(n_errors=n_errors))
    assert (progress.best is standing.network) == counts
    assert progress.n_stale == (not counts)
    assert progress.standing is standing


def test_falls_are_weighted():
    heavy = Standing([0.4, 1.0, 1.2, 1.0], [0.0, 1.0, 1.0, 1.0])
    progress = Progress.of(BASE).after(heavy, plan(n_errors=0.0))
    assert progress.best is BASE.network  # the row that fell weighs nothing


def test_rounds_are_compared_with_the_best_and_not_with_the_last():
    progress = Progress.of(BASE).after(CLEAR, plan())
    worse, better = Standing([2.0] * 4), Standing([1.0, 1.0, 1.0, 0.9])
    progress = progress.after(worse, plan())
    assert (progress.n_stale, progress.stopped) == (1, False)
    progress = progress.after(better, plan())  # than the last, not than the best
    assert progress.stopped
    assert progress.network is CLEAR.network
