"""Folds, and two parts of the rows."""

import numpy as np
import pytest

from skgrow.inputs.splits import folds_of, stratified_split


@pytest.mark.parametrize(("n_rows", "n_folds"), [(10, 5), (11, 4), (3, 5)])
def test_folds_are_equal_to_a_row_and_drawn_by_the_seed(n_rows, n_folds):
    fold = folds_of(n_rows, n_folds, seed=0)
    assert fold.shape == (n_rows,)
    sizes = np.bincount(fold, minlength=n_folds)
    assert len(sizes) == n_folds
    assert sizes.max() - sizes.min() == (n_rows % n_folds > 0)
    np.testing.assert_array_equal(fold, folds_of(n_rows, n_folds, seed=0))
    others = [folds_of(n_rows, n_folds, seed) for seed in range(1, 5)]
    assert any((fold != other).any() for other in others)


def are_parts(first, second, n_rows):
    assert sorted([*first, *second]) == list(range(n_rows))
    assert first.tolist() == sorted(first)
    assert second.tolist() == sorted(second)


def test_each_class_is_divided_alike():
    y = np.random.RandomState(0).permutation(np.repeat([0, 2, 3], [60, 30, 10]))
    first, second = stratified_split(y, 0.3, seed=0)  # no row is of class 1
    are_parts(first, second, 100)
    assert np.bincount(y[second]).tolist() == [18, 0, 9, 3]
    again, other = (stratified_split(y, 0.3, seed)[1] for seed in (0, 1))
    assert second.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize(
    ("y", "fraction", "n_second"),
    [
        (np.linspace(0, 1, 50), 0.25, 12),  # numbers: 12.5, to the even one
        (np.linspace(0, 1, 50), 0.001, 1),  # a row at least
        (np.array([0] * 49 + [1]), 0.2, 10),  # one row of a class cannot be divided
        (np.arange(50) % 10, 0.1, 5),  # ten classes do not fit into five rows
        (np.arange(50) % 10, 0.9, 45),
    ],
)
def test_rows_that_cannot_be_stratified_are_divided_all_the_same(y, fraction, n_second):
    first, second = stratified_split(y, fraction, seed=0)
    are_parts(first, second, 50)
    assert len(second) == n_second
