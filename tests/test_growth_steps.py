"""The growth steps, each formula against a slow, plain implementation."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import binom

from skgrow.bank import BranchBank, features_major
from skgrow.growth import qualification
from skgrow.growth.candidates import Candidates
from skgrow.growth.grown import GrownBranches, Network
from skgrow.growth.qualification import (
    precision_bound,
    qualify,
    scan_thresholds,
    surprise,
)
from skgrow.growth.screening import (
    MIN_SUPPORT,
    candidate_outputs,
    gain_and_step,
    newton_gain,
    screen_matched,
    screen_plain,
    threshold_values,
)
from skgrow.growth.selection import (
    DAMPING,
    PICKS_PER_REFRESH,
    Ballot,
    select_stagewise,
    select_votes,
    vote_gains,
)
from skgrow.growth.tuning import PRIOR, Masks, fit_masks, mask_loss
from skgrow.losses import CROSS_ENTROPY

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


# ---------------------------------------------------------------------- the residual


def test_residual_is_the_gradient_and_curvature_of_the_loss():
    _, y, logits, weight = random_rows(12)
    now = CROSS_ENTROPY.residual(logits, y, weight)
    slope = finite_difference(lambda z: loss_of(z, y, weight), logits)
    np.testing.assert_allclose(now.gradient, -slope, atol=1e-8)
    for t in range(K):

        def own_slope(z, t=t):
            return loss_of(
                np.column_stack([logits[:, :t], z, logits[:, t + 1 :]]), y, weight
            )

        z, h = logits[:, t], 1e-3
        for j in range(len(y)):
            e = h * (np.arange(len(y)) == j)
            second = (own_slope(z + e) - 2 * own_slope(z) + own_slope(z - e)) / h**2
            assert np.isclose(now.curvature[j, t], second, atol=1e-6)
    for j, label in enumerate(y):
        expected = [weight[j] if t == label else 0 for t in range(K)]
        np.testing.assert_array_equal(now.membership[j], expected)
    assert len(now) == 12


def test_loss_and_accuracy():
    _, y, logits, weight = random_rows(50)
    loss = np.average(CROSS_ENTROPY.of_rows(logits, y), weights=weight)
    accuracy = CROSS_ENTROPY.score(logits, y, weight)
    assert np.isclose(loss, loss_of(logits, y, weight) / weight.sum())
    hits = [row.argmax() == label for row, label in zip(logits, y, strict=True)]
    assert np.isclose(accuracy, weight @ np.array(hits) / weight.sum())


# ------------------------------------------------------------------------- screening


def test_newton_gain():
    """The fall of `-g a + h a^2 / 2` at its best `a >= 0`."""
    gradient, curvature = np.array([0.3, -0.2, 0.0]), np.array([0.7, 0.5, 0.1])
    steps = np.linspace(0, 2, 200_001)
    best = [max(g * steps - h * steps**2 / 2) for g, h in zip(gradient, curvature)]  # noqa: B905
    np.testing.assert_allclose(newton_gain(gradient, curvature), best, atol=1e-9)


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


def test_gain_and_step_is_a_joint_newton_step_with_the_intercept():
    _, y, logits, weight = random_rows(40)
    now = CROSS_ENTROPY.residual(logits, y, weight)
    values = np.maximum(np.random.RandomState(0).normal(size=(9, 40)), 0)
    for t in range(K):
        block = torch.tensor(values)
        gain, step = gain_and_step(block, block.square(), now, t)
        expected = [plain_gain_and_step(v, now, t) for v in values]
        np.testing.assert_allclose(gain, [g for g, _ in expected], atol=1e-12)
        np.testing.assert_allclose(step, [s for _, s in expected])
        assert 0 < np.count_nonzero(gain) < 9


def plain_screen(outputs, now):
    """Gain and threshold of one candidate for every class; the threshold is the mean."""
    inside = [o for o in outputs if o > -np.inf]
    threshold = sum(inside) / len(inside) if inside else np.inf
    value = np.array([max(o - threshold, 0) for o in outputs])
    # Support: rows weighed by the values, as in an effective sample size.
    weight = now.membership.sum(axis=1)
    support = (weight @ value) ** 2 / max(value @ value, 1e-12)
    # (3): on no other class is the mean higher.
    means = [
        (now.membership[:, k] @ value) / now.membership[:, k].sum() for k in range(K)
    ]
    found = []
    for t in range(K):
        out = support < min(MIN_SUPPORT, 0.1 * len(outputs)) or means[t] < max(means)
        found.append((0.0 if out else plain_gain_and_step(value, now, t)[0], threshold))
    return found


def test_screen_plain_finds_what_a_brute_force_search_finds():
    bank = random_bank()
    X, y, logits, _ = random_rows(97)
    weight = np.ones(97)
    now = CROSS_ENTROPY.residual(0.3 * logits, y, weight)
    regions = np.array([7, 8, 30])
    columns = np.array([[3, 0], [1, 4], [0, 2]])
    features = features_major(X)
    found = screen_plain(bank, features, now, regions, columns, n_keep=10_000)
    expected = {}
    for region, where in zip(regions, columns, strict=True):
        for b in range(N_BRANCHES):
            for c in range(K):
                outputs = [plain_output(bank, b, c, row[where]) for row in X]
                for t, (gain, threshold) in enumerate(plain_screen(outputs, now)):
                    if gain > 0:
                        expected[region, b, c, t] = gain, threshold
    keys = list(
        zip(found.region, found.branch, found.branch_class, found.target, strict=True)
    )
    assert len(expected) > 20
    assert set(keys) == set(expected)
    np.testing.assert_allclose(found.gain, [expected[key][0] for key in keys])
    np.testing.assert_allclose(found.threshold, [expected[key][1] for key in keys])
    assert (np.isinf(found.lower) & np.isinf(found.upper)).all()
    assert (found.scale == 1).all()
    assert (found.shift == 0).all()
    for region, where in zip(regions, columns, strict=True):
        own = found.take(found.region == region)
        np.testing.assert_array_equal(own.columns, np.tile(where, (len(own), 1)))
        assert (np.diff(own.gain) <= 0).all()


def test_screen_plain_keeps_the_best_of_each_region():
    bank, (X, y, logits, weight) = random_bank(), random_rows(90)
    now = CROSS_ENTROPY.residual(0.3 * logits, y, weight)
    regions, columns = np.arange(40), np.tile([[3, 0], [1, 4]], (20, 1))
    features = features_major(X)
    everything = screen_plain(bank, features, now, regions, columns, n_keep=10_000)
    best = screen_plain(bank, features, now, regions, columns, n_keep=3)
    for region in regions:
        gain = np.sort(everything.gain[everything.region == region])[::-1][:3]
        np.testing.assert_array_equal(best.gain[best.region == region], gain)


def test_screen_matched_finds_what_a_brute_force_search_finds():
    """Of the classes, each matched candidate takes the one of highest gain."""
    bank, (X, y, logits, weight) = random_bank(), random_rows(150)
    weight = np.ones(150)
    now = CROSS_ENTROPY.residual(0.3 * logits, y, weight)
    candidates = random_candidates(300)  # more than one chunk
    features = features_major(X)
    found = screen_matched(bank, features, now, candidates)
    expected = {}
    for m in range(300):
        outputs = [candidate_output(bank, candidates, m, row) for row in X]
        gains = plain_screen(outputs, now)
        t = int(np.argmax([gain for gain, _ in gains]))
        if gains[t][0] > 0:
            expected[m] = (*gains[t], t)
    assert 50 < len(expected) < 300
    assert found.region.tolist() == list(expected)
    expected = np.array(list(expected.values()))
    np.testing.assert_allclose(found.gain, expected[:, 0])
    np.testing.assert_allclose(found.threshold, expected[:, 1])
    np.testing.assert_array_equal(found.target, expected[:, 2])
    assert len(screen_matched(bank, features, now, candidates.take([]))) == 0


def test_candidate_outputs_of_plain_uses_are_the_terms_of_the_bank():
    bank, (X, *_) = random_bank(), random_rows(1300)  # three chunks of rows
    branch, branch_class = (i.ravel() for i in np.indices((N_BRANCHES, K)))
    own = Candidates.plain(branch, bank.regions[branch], branch, branch_class, np.float64)
    outputs = candidate_outputs(bank, own, features_major(X))
    terms = bank.terms(X)[:, branch, branch_class].T
    np.testing.assert_allclose(outputs, terms, atol=1e-14)


def test_candidate_outputs_and_values_in_a_plain_loop():
    bank, (X, *_) = random_bank(), random_rows(60)
    candidates = random_candidates(150)
    X = X[[3, 1, 50, 17]]
    outputs = candidate_outputs(bank, candidates, features_major(X))
    values = threshold_values(bank, candidates, features_major(X))
    for m in range(150):
        for j, row in enumerate(X):
            expected = candidate_output(bank, candidates, m, row)
            assert np.isclose(outputs[m, j], expected, rtol=1e-10, atol=1e-12)
            value = max(expected - candidates.threshold[m], 0)
            assert np.isclose(values[m, j], value, rtol=1e-10, atol=1e-12)
    assert np.isinf(outputs).any()
    assert (values > 0).any()


# --------------------------------------------------------------------- qualification


@pytest.mark.parametrize("prior", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("n", [7, 400])
def test_surprise_bounds_the_tail(n, prior):
    """Hits of `n` rows at random: never likelier than `exp(-surprise)`, nor far below."""
    hits = np.arange(n + 1)
    tail = binom.sf(hits - 1, n, prior)
    bound = np.exp(-surprise(hits / n, prior, n))
    assert (tail <= bound * (1 + 1e-9)).all()
    wide = np.exp(-2 * n * np.maximum(hits / n - prior, 0) ** 2)  # formula (12)
    assert (bound <= wide * (1 + 1e-9)).all()
    if prior < 0.5:
        assert (bound[1:] < 0.5 * wide[1:]).any()


def test_precision_bound_is_where_the_surprise_is_as_asked():
    precision, n = np.array([0.15, 0.9, 1.0, 0.3]), np.array([5000.0, 40, 25, 1000])
    found = precision_bound(precision, n, n_tested=4000, delta=0.05)
    assert (found < precision).all()
    assert (found > 0).all()
    np.testing.assert_allclose(surprise(precision, found, n), np.log(4000 / 0.05))
    unheard = precision_bound(np.zeros(1), np.zeros(1), 10, 0.1)
    assert unheard.tolist() == [0]


@pytest.mark.parametrize("weighted", [False, True])
def test_hoeffding_bound_holds_for_all_candidates_together(weighted):
    """Candidates that fire at random: in at most a share delta of the runs does any
    of them seem better than its class's share."""
    rng = np.random.RandomState(0)
    n_runs, n_candidates, n_rows, delta = 200, 200, 120, 0.2
    false_passes = uncorrected = 0
    for _ in range(n_runs):
        y = (rng.uniform(size=n_rows) < 0.4).astype(int)
        weight = rng.uniform(0.2, 3, size=n_rows) if weighted else np.ones(n_rows)
        fired = (rng.uniform(size=(n_candidates, n_rows)) < 0.5).astype(float)
        now = CROSS_ENTROPY.residual(np.zeros((n_rows, 2)), y, weight)
        target = np.ones(n_candidates, dtype=int)
        args = (fired, target, now)
        found = qualify(*args, n_tested=n_candidates, delta=delta)
        share = weight @ y / weight.sum()
        false_passes += (found.bound > share).any()
        uncorrected += (qualify(*args, n_tested=1, delta=delta).bound > share).any()
    assert false_passes <= delta * n_runs
    assert (
        uncorrected > 2 * delta * n_runs
    )  # the winner's curse that n_tested is there for


def plain_surprise(p, q, n):
    """`n KL(p || q)` by the definition."""
    terms = [(p, q), (1 - p, 1 - q)]
    return n * sum(a * np.log(a / b) for a, b in terms if a > 0)


def plain_qualify(value, t, y, logits, weight, n_tested, delta):
    """The three conditions of one candidate, in plain sums over the rows."""
    n = len(y)
    fired = [j for j in range(n) if value[j] > 0]
    spoken = sum(weight[j] for j in fired)
    hits = sum(weight[j] for j in fired if y[j] == t)
    of_class = sum(weight[j] for j in range(n) if y[j] == t)
    precision = hits / spoken if fired else 0.0
    n_effective = spoken**2 / sum(weight[j] ** 2 for j in fired) if fired else 0.0
    asked = np.log(n_tested / delta)
    grid = np.linspace(0, precision, 2001)[1:-1]
    likely = [q for q in grid if plain_surprise(precision, q, n_effective) < asked]
    bound = min(likely, default=precision) if fired else 0.0
    means = []
    for k in range(K):
        rows = [j for j in range(n) if y[j] == k]
        total = sum(weight[j] for j in rows)
        means.append(sum(weight[j] * value[j] for j in rows) / total)
    highest = all(means[t] > means[k] for k in range(K) if k != t)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    w = np.array([weight[j] * ((y[j] == t) - p[j, t]) for j in range(n)])
    h = np.array([weight[j] * p[j, t] * (1 - p[j, t]) for j in range(n)])
    products = w * (value - h @ value / h.sum())
    error = np.sqrt(np.mean((products - products.mean()) ** 2) / n)
    z = {0.05: 1.6448536269514722, 0.5: 0.0}[delta]  # normal quantile of 1 - delta
    profit = products.mean() - z * error
    prior = of_class / sum(weight)
    passed = highest and profit > 0 and bound > prior
    return passed, precision, hits / of_class, bound, profit


@pytest.mark.parametrize(("n_tested", "delta"), [(60, 0.05), (1, 0.5)])
def test_qualify_in_a_plain_loop(n_tested, delta):
    rng = np.random.RandomState(0)
    n, m = 300, 60
    _, y, logits, weight = random_rows(n)
    target = rng.randint(K, size=m)
    # From pure noise to a clear voice for the target; the last never speaks.
    strength = np.linspace(0, 2, m)[:, None]
    voice = strength * (y == target[:, None]) + rng.normal(size=(m, n))
    values = np.maximum(voice - 1, 0)
    values[-1] = 0
    now = CROSS_ENTROPY.residual(logits, y, weight)
    found = qualify(values, target, now, n_tested=n_tested, delta=delta)
    expected = [
        plain_qualify(v, t, y, logits, weight, n_tested, delta)
        for v, t in zip(values, target, strict=True)
    ]
    names = ("passed", "precision", "recall", "bound", "profit")
    for name, column in zip(names, zip(*expected, strict=True), strict=True):
        np.testing.assert_allclose(
            getattr(found, name).astype(float), np.array(column, dtype=float),
            rtol=1e-9, atol=1e-3 if name == "bound" else 1e-12, err_msg=name,
        )  # fmt: skip
    assert 5 < found.passed.sum() < m - 5
    assert not found.passed[-1]


@pytest.mark.parametrize("condition", [3, 9, 13])
def test_each_condition_can_fail_alone(condition):
    """Three candidates that fail one condition each, though they meet the others."""
    n = 3000
    y = np.arange(n) % K
    t = y == 0
    rng = np.random.RandomState(0)
    logits = np.zeros((n, K))
    value = np.where(t, 1.0, 0.0)
    if condition == 3:  # class 1 is spoken on rarely, but very loudly
        value[y == 1] = np.where(rng.uniform(size=(y == 1).sum()) < 0.1, 30.0, 0)
        # And those rows are known already: condition (9) does not mind them.
        logits[y == 1, 0] = -20
    elif condition == 9:  # the scores have what it says, and more
        logits[t, 0] = 20
        value[y == 1] = np.where(rng.uniform(size=(y == 1).sum()) < 0.1, 0.5, 0)
    else:  # it speaks on nearly all rows, a little louder on its own
        value = np.where(t, 1.0, 0.8) * np.ones(n)
    now = CROSS_ENTROPY.residual(logits, y, np.ones(n))
    found = qualify(value[None], np.array([0]), now, n_tested=100, delta=0.05)
    means = [value[y == k].mean() for k in range(K)]
    met = {
        3: means[0] > max(means[1:]),
        9: found.profit[0] > 0,
        13: found.bound[0] > 1 / 3,
    }
    assert [number for number in met if not met[number]] == [condition]
    assert not found.passed[0]


def test_a_class_without_rows_is_no_rival():
    y = np.array([0] * 100 + [1] * 100)
    value = np.concatenate([np.ones(100), np.zeros(100)])
    now = CROSS_ENTROPY.residual(np.zeros((200, 3)), y, np.ones(200))
    target = np.array([0, 2])
    found = qualify(np.stack([value] * 2), target, now, n_tested=2, delta=0.05)
    assert found.passed.tolist() == [True, False]


GROWTH, ASKED = 2.5, 3.0  # of the test that a threshold must be expected to pass


def plain_scan(outputs, t, now):
    """Best gain over the quantiles; the threshold lies between two outputs."""
    inside = np.sort(outputs[outputs > -np.inf])
    prior = now.membership[:, t].sum() / now.membership.sum()
    best = (0.0, None, None)
    for q in qualification.SCAN_QUANTILES:
        low = inside[int(q * len(inside))]
        higher = inside[inside > low + 1e-9]
        if not len(higher):
            continue
        value = np.maximum(outputs - (low + higher[0]) / 2, 0)
        fired = now.membership[value > 0].sum(axis=0)
        precision = fired[t] / fired.sum()
        means = [
            now.membership[:, k] @ value / now.membership[:, k].sum() for k in range(K)
        ]
        luck = plain_surprise(precision, prior, GROWTH * fired.sum())
        if np.argmax(means) != t or precision <= prior or luck <= ASKED:
            continue
        gain, _ = plain_gain_and_step(value, now, t)
        if gain > best[0]:
            best = (gain, low, higher[0])
    return best


def test_scan_thresholds_finds_what_a_brute_force_search_finds():
    rng = np.random.RandomState(0)
    n, m = 200, 80
    _, y, logits, weight = random_rows(n)
    target = rng.randint(K, size=m)
    strength = np.linspace(0, 2, m)[:, None]
    outputs = strength * (y == target[:, None]) + rng.normal(size=(m, n))
    outputs[::3] = np.round(outputs[::3], 1)  # ties
    outputs[::4, ::3] = -np.inf  # outside an input bound
    now = CROSS_ENTROPY.residual(logits, y, weight)
    threshold, gain = scan_thresholds(outputs, target, now, GROWTH, ASKED)
    expected = [plain_scan(o, t, now) for o, t in zip(outputs, target, strict=True)]
    np.testing.assert_allclose(gain, [best for best, _, _ in expected], atol=1e-12)
    assert 10 < np.count_nonzero(gain) < m - 5
    for t, (best, low, high) in zip(threshold, expected, strict=True):
        if best:
            assert np.isclose(t, (low + high) / 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_moves_no_row_across_a_threshold(dtype):
    """(16) jumps there, and outputs differ in the last digits from chunk to chunk."""
    rng = np.random.RandomState(0)
    _, y, logits, _ = random_rows(200)
    target = np.arange(30) % K
    outputs = ((y == target[:, None]) + np.round(rng.normal(size=(30, 200)), 1)).astype(
        dtype
    )
    few_ulps = 1 + np.finfo(dtype).eps * rng.randint(-5, 6, size=outputs.shape)
    now = CROSS_ENTROPY.residual(logits.astype(dtype), y, np.ones(200))
    threshold, gain = scan_thresholds(outputs, target, now, GROWTH, ASKED)
    assert (gain > 0).sum() > 10
    threshold = threshold[gain > 0, None]
    fired = outputs[gain > 0] > threshold
    assert (fired == (outputs * few_ulps.astype(dtype))[gain > 0].__gt__(threshold)).all()
    # Also where ties differ in the last digits already.
    threshold, gain = scan_thresholds(
        outputs * few_ulps.astype(dtype), target, now, GROWTH, ASKED
    )
    gap = np.abs(outputs - threshold[:, None])[gain > 0]
    assert gap.min() > 0.01


def test_a_constant_output_has_no_threshold():
    _, y, logits, weight = random_rows(50)
    outputs = np.stack([np.full(50, 0.3), np.full(50, -np.inf)])
    target = np.array([0, 1])
    now = CROSS_ENTROPY.residual(logits, y, weight)
    _, gain = scan_thresholds(outputs, target, now, GROWTH, ASKED)
    np.testing.assert_array_equal(gain, [0, 0])


# ------------------------------------------------------------------------- selection


def test_select_stagewise_in_a_plain_loop():
    rng = np.random.RandomState(0)
    n, m = 80, 25
    _, y, logits, weight = random_rows(n)
    target = rng.randint(K, size=m)
    values = np.maximum((y == target[:, None]) + rng.normal(size=(m, n)), 0)
    values[20:] = values[:5]  # copies
    target[20:] = target[:5]
    given = logits.copy()
    picks = select_stagewise(values, target, logits, y, weight, n_picks=12)
    np.testing.assert_array_equal(logits, given)
    scores, expected, trials = given.copy(), [], [None] * m
    for i in range(12):
        now = CROSS_ENTROPY.residual(scores, y, weight)
        for j, (v, t) in enumerate(zip(values, target, strict=True)):
            if i % PICKS_PER_REFRESH == 0 or t == target[expected[-1]]:
                trials[j] = plain_gain_and_step(v, now, t)
        gains = [0 if i in expected else gain for i, (gain, _) in enumerate(trials)]
        best = int(np.argmax(gains))
        expected.append(best)
        h = now.curvature[:, target[best]]
        centred = values[best] - h @ values[best] / h.sum()
        scores[:, target[best]] += DAMPING * trials[best][1] * centred
    # Exact copies have equal gains: which of the two is taken is left open.
    np.testing.assert_array_equal(picks % 20, np.array(expected) % 20)
    assert len(set(picks.tolist())) == 12


def loss_by_vote(logits, y, weight, t, moved):
    """Mean loss to second order in what one class's scores are moved by."""
    now = CROSS_ENTROPY.residual(logits, y, weight)
    first = now.gradient[:, t] @ moved
    return -(first - now.curvature[:, t] @ moved**2 / 2) / len(y)


def test_votes_are_picked_in_a_plain_loop():
    rng = np.random.RandomState(0)
    n, m, step = 80, 20, 0.4
    _, y, logits, weight = random_rows(n)
    target = rng.randint(K, size=m)
    votes = (y == target[:, None]) + rng.normal(size=(m, n)) > 0.7
    given = logits.copy()
    search = rng.randint(2, size=m)
    unseen = rng.uniform(size=(2, n)) < 0.8
    ballot = Ballot(target, votes, search, unseen)
    picks, _ = select_votes(ballot, logits, y, weight, step=step, n_picks=200)
    np.testing.assert_array_equal(logits, given)
    moves = step * (votes - (votes @ weight / weight.sum())[:, None])
    scores, expected, gains = given.copy(), [], np.zeros(m)
    for i in range(200):
        for j, t in enumerate(target):
            if i % PICKS_PER_REFRESH == 0 or t == target[expected[-1]]:
                seen = unseen[search[j]]
                moved = (
                    votes[j, seen] - votes[j, seen] @ weight[seen] / weight[seen].sum()
                )
                rows = scores[seen], y[seen], weight[seen]
                gains[j] = -loss_by_vote(*rows, t, step * moved)
        if i == 0:
            found = vote_gains(ballot, given, y, weight, step=step)
            np.testing.assert_allclose(found, gains, atol=1e-12)
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        expected.append(best)
        scores[:, target[best]] += moves[best]
    assert len(set(expected)) < len(expected) < 200  # some vote twice; then it stops
    np.testing.assert_array_equal(picks, expected)


def test_of_votes_that_gain_the_same_the_first_is_picked():
    """A vote for one of two classes, and its opposite for the other: equal but for
    rounding, which must not choose, since the number of threads changes it."""
    rng, n = np.random.RandomState(0), 97
    y, logits = rng.randint(2, size=n), rng.normal(size=(n, 2))
    vote, unseen = (y == 0) ^ (rng.uniform(size=n) < 0.2), np.ones((1, n), dtype=bool)
    gains = []
    for target, votes in (([0, 1], [vote, ~vote]), ([1, 0], [~vote, vote])):
        ballot = Ballot(np.array(target), np.array(votes), np.zeros(2, dtype=int), unseen)
        weights = rng.uniform(1, 2, size=(20, n))
        for weight in weights:
            found = select_votes(ballot, logits, y, weight, step=0.4, n_picks=1)
            gains.append(np.ptp(found[1]) / found[1].max())
            assert list(found[0]) == [0]
    assert 0 < max(gains) < 1e-12  # they do differ


def test_votes_that_do_harm_are_not_picked():
    _, y, logits, weight = random_rows(60)
    votes = np.stack([y == 0, np.zeros(60), np.ones(60)]) > 0  # against, silent, always
    target = np.array([1, 2, 0])
    search, unseen = np.zeros(3, dtype=int), np.ones((1, 60), dtype=bool)
    for few in (slice(None), slice(0)):
        ballot = Ballot(target[few], votes[few], search[few], unseen)
        picks, gain = select_votes(ballot, logits, y, weight, step=0.1, n_picks=9)
        assert (gain <= 0).all()
        assert picks.tolist() == []


def test_select_stagewise_stops_when_no_gain_is_left():
    _, y, logits, weight = random_rows(60)
    values = np.stack([(y == 1) * 1.0, (y == 0) * 1.0, np.zeros(60)])
    target = np.array([1, 2, 0])
    picks = select_stagewise(values, target, logits, y, weight, n_picks=9)
    assert picks.tolist() == [0]  # the second is against its class, the third silent
    none = select_stagewise(values[:0], target[:0], logits, y, weight, n_picks=9)
    assert none.tolist() == []


# ---------------------------------------------------------------------------- tuning


def tuning_problem(m=7, n=150, seed=0):
    rng = np.random.RandomState(seed)
    _, y, logits, weight = random_rows(n)
    target = rng.randint(K, size=m)
    values = np.maximum((y == target[:, None]) * 0.8 + rng.normal(size=(m, n)) - 0.2, 0)
    values[0] = np.maximum((y != target[0]) + rng.normal(size=n), 0)  # best left out
    values /= values.max(axis=1, keepdims=True)
    return values, target, 0.3 * logits, y, weight


def plain_loss(flat, values, target, offset, y, weight):
    """Formula (16) row by row, branch by branch."""
    m = len(target)
    a, b, c = flat[:m], flat[m : 2 * m], flat[2 * m :]
    logits = offset + c
    for j in range(len(y)):
        for i in range(m):
            if values[i, j] > 0:
                logits[j, target[i]] += a[i] * values[i, j] + b[i]
    return loss_of(logits, y, weight / weight.sum())


def test_mask_loss_and_its_gradient():
    values, target, offset, y, weight = tuning_problem()
    target = np.sort(target)
    flat = np.random.RandomState(1).uniform(0, 1, size=2 * 7 + K)
    given = torch.tensor(offset)
    loss, gradient = mask_loss(
        Masks.from_flat(flat, 7), torch.tensor(values), target, given,
        torch.tensor(y), torch.tensor(weight / weight.sum()),
    )  # fmt: skip

    def plain(x):
        return plain_loss(x, values, target, offset, y, weight)

    assert np.isclose(loss, plain(flat), rtol=1e-12)
    np.testing.assert_allclose(gradient, finite_difference(plain, flat), atol=1e-9)
    np.testing.assert_array_equal(given.numpy(), offset)
    np.testing.assert_array_equal(Masks.from_flat(flat, 7).flat(), flat)


def test_fit_masks_reaches_the_optimum():
    values, target, offset, y, weight = tuning_problem()
    masks = fit_masks(
        values, target, offset, y, weight, start=Masks.zeros(7, K), max_iter=1000
    )
    data = (values, target, offset, y, weight)
    bounds = [(0, None)] * 14 + [(None, None)] * K

    def plain_mask_loss(x, *data):
        prior = np.sum(x[:14] ** 2) / (2 * PRIOR**2 * len(y))
        return plain_loss(x, *data) + prior

    other = minimize(
        plain_mask_loss, np.full(14 + K, 0.5), args=data, bounds=bounds,
        method="SLSQP", options={"ftol": 1e-12, "maxiter": 500},
    )  # fmt: skip
    assert other.success
    assert np.isclose(plain_mask_loss(masks.flat(), *data), other.fun, atol=1e-6)
    assert (masks.scale >= 0).all()
    assert (masks.bias >= 0).all()
    zero = masks.scale[0] == masks.bias[0] == 0
    assert zero  # the branch that speaks against its class
    # The optimum is flat along intercepts that rise together: compare what is added.
    np.testing.assert_allclose(masks.scale, other.x[:7], atol=0.02)
    np.testing.assert_allclose(masks.bias, other.x[7:14], atol=0.02)
    centred = [c - c.mean() for c in (masks.intercept, other.x[14:])]
    np.testing.assert_allclose(*centred, atol=0.02)


def test_fit_masks_does_not_mind_the_order_of_branches():
    values, target, offset, y, weight = tuning_problem()
    start = Masks(np.linspace(0, 1, 7), np.linspace(1, 0, 7), np.arange(3.0))
    order = np.random.RandomState(3).permutation(7)
    shuffled = Masks(start.scale[order], start.bias[order], start.intercept)
    for max_iter in (1, 200):
        one = fit_masks(values, target, offset, y, weight, start=start, max_iter=max_iter)
        two = fit_masks(
            values[order], target[order], offset, y, weight,
            start=shuffled, max_iter=max_iter,
        )  # fmt: skip
        np.testing.assert_allclose(two.scale, one.scale[order], atol=1e-4)
        np.testing.assert_allclose(two.bias, one.bias[order], atol=1e-4)
        np.testing.assert_allclose(two.intercept, one.intercept, atol=1e-4)


def test_fit_masks_of_no_branch_fits_the_intercept():
    values, target, offset, y, weight = tuning_problem()
    masks = fit_masks(
        values[:0], target[:0], offset, y, weight, start=Masks.zeros(0, K), max_iter=200
    )
    now = CROSS_ENTROPY.residual(offset + masks.intercept, y, weight / weight.sum())
    np.testing.assert_allclose(now.gradient.sum(axis=0), 0, atol=1e-4)


# ------------------------------------------------------------------ grown branches


def random_grown(n=300, seed=4):
    rng = np.random.RandomState(seed)
    numbers = rng.uniform(0.1, 2, size=(6, n))
    numbers[1, ::5] = 0  # scales
    numbers[2, ::7] = 0  # biases
    return GrownBranches(random_bank(), random_candidates(n), *numbers)


def plain_grown_logits(grown, rows):
    """Formula (16), row by row, branch by branch."""
    uses = grown.uses
    total = np.zeros((K, len(rows)))
    for j, row in enumerate(rows):
        for m in range(len(grown)):
            output = candidate_output(grown.bank, uses, m, row)
            v = max(output - uses.threshold[m], 0) / grown.span[m]
            speaks = 1 if output > uses.threshold[m] else 0
            total[uses.target[m], j] += grown.scale[m] * v + grown.bias[m] * speaks
    return total


def test_grown_logits_are_formula_16():
    grown, (X, *_) = random_grown(), random_rows(40)
    features = features_major(X)
    expected = plain_grown_logits(grown, X)
    assert expected.std() > 1
    np.testing.assert_allclose(
        grown.runner().logits(features).numpy(), expected, atol=1e-10
    )
    added = grown.runner().contributions(features).numpy()
    one = plain_grown_logits(grown.take([17]), X)[grown.uses.target[17]]
    np.testing.assert_allclose(added[17], one, atol=1e-12)
    empty = GrownBranches.empty(grown.bank)
    assert len(empty) == empty.n_multiply_adds == 0
    silent = empty.runner().logits(features).numpy()
    np.testing.assert_array_equal(silent, np.zeros((K, 40)))


def test_grown_branches_in_many_chunks_of_rows():
    grown, (X, *_) = random_grown(3), random_rows(1100)
    features = features_major(X)
    expected = plain_grown_logits(grown, X)
    np.testing.assert_allclose(
        grown.runner().logits(features).numpy(), expected, atol=1e-12
    )


def test_network_logits_are_bank_plus_grown_plus_intercept():
    grown, (X, *_) = random_grown(20), random_rows(2100)  # two chunks of 2048 rows
    bank, intercept = random_bank(seed=9), np.array([1.0, -2.0, 0.5])
    logits = Network(bank, grown, intercept).logits(X, Halves())
    some = [0, 1000, 2047, 2048, 2099]
    base = bank.terms(X / 2).sum(axis=1) + intercept
    expected = plain_grown_logits(grown, X[some] / 2).T + base[some]
    np.testing.assert_allclose(logits[some], expected, atol=1e-12)
    bare = Network(bank, GrownBranches.empty(bank), intercept).logits(X, Halves())
    np.testing.assert_allclose(bare, base, atol=1e-12)


def test_take_and_extended_are_inverse():
    grown, (X, *_) = random_grown(30), random_rows(20)
    features = features_major(X)
    head, tail = grown.take(slice(0, 12)), grown.take(np.arange(12, 30))
    assert (len(head), len(tail)) == (12, 18)
    whole = head.extended(tail)
    assert whole.bank is grown.bank
    names = np.arange(K)
    assert whole.records(names, None) == grown.records(names, None)
    total = head.runner().logits(features) + tail.runner().logits(features)
    np.testing.assert_allclose(total, grown.runner().logits(features), atol=1e-12)
    alive = (grown.scale > 0) & (grown.bias > 0)
    assert len(grown.take(alive)) == alive.sum() < 30
    empty = GrownBranches.empty(grown.bank)
    same = empty.extended(grown).extended(empty)
    assert same.records(names, None) == grown.records(names, None)


def test_records_speak_in_the_users_names():
    grown = random_grown(10)
    classes = np.array(["ant", "bee", "cat"])
    features = np.array(["a", "b", "c", "d", "e"], dtype=object)
    uses = grown.uses
    for m, record in enumerate(grown.records(classes, features)):
        assert record == {
            "region": [features[j] for j in uses.columns[m]],
            "branch": uses.branch[m],
            "branch_class": classes[uses.branch_class[m]],
            "target_class": classes[uses.target[m]],
            "threshold": uses.threshold[m],
            "span": grown.span[m],
            "scale": grown.scale[m],
            "bias": grown.bias[m],
            "precision": grown.precision[m],
            "recall": grown.recall[m],
            "bound": grown.bound[m],
        }
        assert type(record["branch"]) is int
        assert type(record["scale"]) is float
        assert type(record["target_class"]) is str
    bare = grown.records(np.array([3, 5, 9]), None)
    assert bare[4]["region"] == uses.columns[4].tolist()
    assert bare[4]["target_class"] == [3, 5, 9][uses.target[4]]
    assert GrownBranches.empty(grown.bank).records(classes, features) == []
