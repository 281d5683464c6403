"""Picking branches and votes one by one, against plain loops."""

import numpy as np
from plain_growth import (
    K,
    plain_gain_and_step,
    random_rows,
)

from skgrow.growth.reuse.selection import (
    CHEAP,
    DAMPING,
    PICKS_PER_REFRESH,
    Ballot,
    select_stagewise,
    select_votes,
    vote_gains,
)
from skgrow.training.losses import CROSS_ENTROPY


def test_select_stagewise_in_a_plain_loop():
    rng = np.random.RandomState(0)
    n, m = 80, 25
    _, y, logits, weight = random_rows(n)
    target = rng.randint(K, size=m)
    values = np.maximum((y == target[:, None]) + rng.normal(size=(m, n)), 0)
    values[20:] = values[:5]  # copies
    target[20:] = target[:5]
    given = logits.copy()
    trunk = rng.randint(-1, 9, size=m)
    picks = select_stagewise(values, target, trunk, logits, y, weight, n_picks=12)
    np.testing.assert_array_equal(logits, given)
    scores, expected, trials = given.copy(), [], [None] * m
    for i in range(12):
        now = CROSS_ENTROPY.residual(scores, y, weight)
        for j, (v, t) in enumerate(zip(values, target, strict=True)):
            if i % PICKS_PER_REFRESH == 0 or t == target[expected[-1]]:
                trials[j] = plain_gain_and_step(v, now, t)
        cheap = {-1, *trunk[expected]}
        gains = [
            0 if i in expected else gain * (CHEAP if trunk[i] in cheap else 1)
            for i, (gain, _) in enumerate(trials)
        ]
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
    votes = np.stack([y == 0, np.zeros(60), np.ones(60)]) > 0  # against, inactive, always
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
    trunk = np.arange(3)
    picks = select_stagewise(values, target, trunk, logits, y, weight, n_picks=9)
    assert picks.tolist() == [0]  # the second is against its class, the third inactive
    few = values[:0], target[:0], trunk[:0]
    none = select_stagewise(*few, logits, y, weight, n_picks=9)
    assert none.tolist() == []
