"""What each replica leaves out, and in which order it reads categories."""

from collections import Counter

import numpy as np

from skgrow.inputs.category_order import SMOOTHING
from skgrow.inputs.labelled_rows import LabelledRows
from skgrow.inputs.scaling import fit_scaler
from skgrow.training.replicas import replica_inputs, replica_shares


def test_every_row_is_left_out_by_one_replica_and_folds_are_equal():
    shares = replica_shares(11, 3, seed=0)
    assert shares.dtype == np.float32
    assert Counter(shares.ravel().tolist()) == {0.0: 11, 1.0: 22}
    assert (shares.sum(axis=1) == 2).all()
    assert sorted((shares == 0).sum(axis=0).tolist()) == [3, 4, 4]
    np.testing.assert_array_equal(shares, replica_shares(11, 3, seed=0))
    assert (shares != replica_shares(11, 3, seed=1)).any()


def table(categorical):
    """Numbers beside one column of codes 0 to 3, and a target that they shift."""
    rng = np.random.RandomState(0)
    X = rng.randn(60, 3)
    X[:, 1] = rng.randint(4, size=60)
    X[:5, 1] = np.nan
    y, weight = X[:, 0] + rng.randn(60), rng.uniform(0.5, 2, 60)
    n_codes = np.array([0, 4, 0]) if categorical else None
    return fit_scaler(X, weight, False, y, n_codes), X, y, weight


def test_numbers_alone_are_the_same_for_all_replicas():
    scaler, X, y, weight = table(categorical=False)
    rows = LabelledRows(X, y, weight, scaler.transform(X))
    regions = np.array([[0, 1], [1, 2]] * 2)
    scaled, places = replica_inputs(scaler, rows, replica_shares(60, 2, 0), regions)
    assert scaled is rows.scaled
    assert places is regions


def test_categories_are_in_the_order_of_the_rows_that_a_replica_keeps():
    scaler, X, y, weight = table(categorical=True)
    rows = LabelledRows(X, y, weight, scaler.transform(X))
    shares = np.ones((60, 2), dtype=np.float32)
    shares[0::2, 0] = shares[1::2, 1] = 0
    regions = np.array([[0, 1], [1, 2], [0, 1], [1, 2]])  # two branches of each replica
    scaled, places = replica_inputs(scaler, rows, shares, regions)
    assert places.tolist() == [[0, 3], [3, 2], [0, 4], [4, 2]]
    np.testing.assert_array_equal(scaled[:, :3], rows.scaled)
    orders = []
    for r, column in enumerate(scaled.T[3:]):
        kept = (shares[:, r] > 0) & ~np.isnan(X[:, 1])
        mean, scale = np.average(y[kept], weights=weight[kept]), weight[kept].mean()
        smoothed = []
        for code in range(4):
            own = kept & (X[:, 1] == code)
            n_rows, total = weight[own].sum() / scale, weight[own] @ y[own] / scale
            smoothed.append((total + SMOOTHING * mean) / (n_rows + SMOOTHING))
        # One position for each category, on kept rows and on those left out.
        position = [set(column[X[:, 1] == code].tolist()) for code in range(4)]
        assert all(len(one) == 1 for one in position)
        position = [min(one) for one in position]
        orders.append(np.argsort(position).tolist())
        assert orders[-1] == np.argsort(smoothed).tolist()
        np.testing.assert_array_equal(column[:5], rows.scaled[:5, 1])  # gaps stay
    assert orders[0] != orders[1]  # or nothing was tested
