"""Small random networks, rows and candidates, and what the slow way makes of them."""

import numpy as np

from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import Candidates

K, SIZE, N_BRANCHES, N_FEATURES = 3, 2, 4, 5


class Halves:
    """A scaler that does something, so that forgetting it shows."""

    def transform(self, X):
        return X / 2


def random_bank(seed=0):
    rng = np.random.RandomState(seed)
    regions = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    return BranchBank.random(regions, (5, 4), K, rng, np.float64)


def random_rows(n_rows, seed=1):
    """Inputs, labels that depend on them, scores and weights."""
    rng = np.random.RandomState(seed)
    X = rng.uniform(-1, 1, size=(n_rows, N_FEATURES))
    y = np.digitize(X[:, 0] + X[:, 3] + 0.3 * rng.normal(size=n_rows), [-0.4, 0.4])
    return X, y, rng.normal(size=(n_rows, K)), rng.uniform(0.2, 3, size=n_rows)


def random_candidates(n, seed=2, bounded=True):
    rng = np.random.RandomState(seed)
    columns = rng.uniform(size=(n, N_FEATURES)).argsort(axis=1)[:, :SIZE]
    found = Candidates.plain(
        np.arange(n), columns, rng.randint(N_BRANCHES, size=n), rng.randint(K, size=n),
        np.float64,
    )  # fmt: skip
    found.scale[:] = rng.uniform(-3, 3, size=found.scale.shape)
    found.shift[:] = rng.normal(size=found.shift.shape)
    found.target[:] = rng.randint(K, size=n)
    found.threshold[:] = rng.normal(scale=0.1, size=n)
    if bounded:
        found.lower[::2] = -0.4
        found.upper[::2] = 0.3
    return found


def plain_output(bank, b, c, inputs):
    """Output `c` of branch `b` for one row."""
    hidden = inputs
    for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
        hidden = np.maximum(weight[b].T @ hidden + bias[b], 0)
    return bank.weights[-1][b][:, c] @ hidden


def candidate_output(bank, uses, m, row):
    """Output of one candidate for one scaled row: bound, map, branch."""
    inputs = row[uses.columns[m]]
    if (inputs < uses.lower[m]).any() or (inputs > uses.upper[m]).any():
        return -np.inf
    mapped = uses.scale[m] * inputs + uses.shift[m]
    return plain_output(bank, uses.branch[m], uses.branch_class[m], mapped)


def loss_of(logits, y, weight):
    """Weighted sum of cross-entropies, a row at a time."""
    total = 0.0
    for row, label, s in zip(logits, y, weight, strict=True):
        total -= s * (row[label] - np.log(np.exp(row).sum()))
    return total


def finite_difference(function, x, step=1e-5):
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (function(up) - function(down)) / (2 * step)
    return gradient


def plain_gain_and_step(value, now, t):
    """Scale of a candidate and intercept of class `t` by one joint Newton step."""
    g, hessian = np.zeros(2), np.zeros((2, 2))
    for j, v in enumerate(value):
        both = np.array([v, 1.0])
        g += now.gradient[j, t] * both
        hessian += now.curvature[j, t] * np.outer(both, both)
    # What the intercept alone would gain is no merit of the candidate.
    joint = np.linalg.solve(hessian, g)
    gain = (g @ joint - g[1] ** 2 / hessian[1, 1]) / 2
    return (gain if joint[0] > 0 else 0.0) / len(value), joint[0]
