"""Conditions (3), (9), (13) and thresholds (10), against plain loops and brute force."""

import numpy as np
import pytest
from plain_growth import (
    K,
    plain_gain_and_step,
    random_rows,
)
from scipy.stats import binom

from skgrow.growth.reuse import qualification
from skgrow.growth.reuse.qualification import (
    precision_bound,
    qualify,
    scan_thresholds,
    surprise,
)
from skgrow.training.losses import CROSS_ENTROPY


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
    # From pure noise to a clear effect on the target; the last is never active.
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
    elif condition == 9:  # the scores have its effect already, and more
        logits[t, 0] = 20
        value[y == 1] = np.where(rng.uniform(size=(y == 1).sum()) < 0.1, 0.5, 0)
    else:  # active on nearly all rows, a little more on its own
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
        evidence = plain_surprise(precision, prior, GROWTH * fired.sum())
        if np.argmax(means) != t or precision <= prior or evidence <= ASKED:
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
