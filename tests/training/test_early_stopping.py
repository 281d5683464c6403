"""When training stops by itself."""

import numpy as np
import pytest

from skgrow.training.early_stopping import LossWatch, holds_out


def plain(losses, tol, patience):
    """Pass that training ends with, and the best one, from 1."""
    best, where = np.inf, 0
    for i, loss in enumerate(losses, start=1):
        if loss < best - tol:
            best, where = loss, i
        if i - where >= patience:
            return i, where
    return len(losses), where


@pytest.mark.parametrize("tol", [0.0, 0.2])
@pytest.mark.parametrize("patience", [1, 2, 4])
def test_the_best_loss_and_the_end_are_those_of_a_plain_loop(tol, patience):
    rng = np.random.RandomState(0)
    for _ in range(30):
        losses = rng.uniform(size=12).tolist()
        watch, ended = LossWatch(tol, patience), len(losses)
        for i, loss in enumerate(losses, start=1):
            watch.falls(loss)
            if watch.is_over:
                ended = i
                break
        assert (ended, watch.best_iter) == plain(losses, tol, patience)


def test_a_loss_that_is_no_number_is_no_fall():
    watch = LossWatch(0.0, 2)
    assert [watch.falls(loss) for loss in (np.nan, 1.0, np.nan)] == [False, True, False]
    assert (watch.best_iter, watch.best_loss) == (2, 1.0)


@pytest.mark.parametrize(
    ("asked", "n_rows", "answer"),
    [("auto", 10, False), ("auto", 11, True), (True, 3, True), (False, 99, False)],
)
def test_auto_holds_rows_out_where_they_are_many(asked, n_rows, answer):
    assert holds_out(asked, n_rows, many_rows=10) is answer
