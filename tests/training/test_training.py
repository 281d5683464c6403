"""Gradient training of a bank."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import approx_fprime
from scipy.special import log_softmax

from skgrow.networks.bank import BranchBank
from skgrow.training import bank_training
from skgrow.training.bank_gradient import TrainableBank
from skgrow.training.bank_shrinkage import usable
from skgrow.training.bank_training import TrainingData, TrainingPlan, train_bank

REGIONS = np.array([[0, 1], [1, 2], [3, 0]])
PLAN = TrainingPlan(max_iter=15, batch_size=64, learning_rate=0.03)
FLOAT32 = 1e-6  # what replicas are trained in
FULL_BATCH = replace(PLAN, batch_size=10_000)


def fresh_bank(dtype=np.float64, sizes=(6, 5)):
    return BranchBank.random(REGIONS, sizes, 3, np.random.RandomState(0), dtype)


def blob_data(n_rows=200, seed=1, dtype=np.float64):
    """Three classes that the first two columns tell apart."""
    rng = np.random.RandomState(seed)
    X = rng.uniform(-0.5, 0.5, size=(n_rows, 4)).astype(dtype)
    y = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0.1)
    return TrainingData(X, y, np.ones(n_rows), np.zeros((1, 3), dtype=dtype))


def mean_loss(bank, data):
    """Weighted cross-entropy, written out."""
    log_p = log_softmax(bank.logits(data.X) + data.offset, axis=1)
    losses = -log_p[np.arange(len(data.y)), data.y]
    return np.average(losses, weights=data.sample_weight)


def flat(bank):
    return np.concatenate([a.ravel() for a in (*bank.weights, *bank.biases)])


def unflat(bank, values):
    arrays = (*bank.weights, *bank.biases)
    ends = np.cumsum([array.size for array in arrays])[:-1]
    parts = np.split(values, ends)
    shaped = [p.reshape(a.shape) for p, a in zip(parts, arrays, strict=True)]
    n_weights = len(bank.weights)
    return replace(
        bank, weights=tuple(shaped[:n_weights]), biases=tuple(shaped[n_weights:])
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_training_reduces_the_loss(dtype):
    bank, data = fresh_bank(dtype), blob_data(dtype=dtype)
    trained, record = train_bank(bank, data, PLAN)
    assert trained.dtype == dtype
    assert mean_loss(trained, data) < 0.5 * mean_loss(bank, data)
    assert record.loss_curve[-1] < record.loss_curve[0]
    assert record.n_iter == len(record.loss_curve) == PLAN.max_iter
    assert record.validation_curve == []


def test_start_is_not_changed():
    bank, data = fresh_bank(), blob_data()
    before, X = flat(bank), data.X.copy()
    train_bank(bank, data, PLAN)
    np.testing.assert_array_equal(flat(bank), before)
    np.testing.assert_array_equal(data.X, X)


def test_first_step_follows_the_gradient():
    # Adam's first step is the learning rate times the sign of the gradient, here
    # taken by finite differences of the loss written out, penalty included.
    rng = np.random.RandomState(2)
    bank, data = fresh_bank(sizes=(3,)), blob_data(50)
    data = replace(
        data,
        sample_weight=rng.uniform(0.5, 2, size=50),
        offset=rng.normal(size=(50, 3)),
    )
    plan = replace(FULL_BATCH, max_iter=1, one_cycle=False, alpha=0.05)

    def objective(values):
        changed = unflat(bank, values)
        penalty = sum(np.square(weight).sum() for weight in changed.weights)
        return mean_loss(changed, data) + plan.alpha / 2 * penalty

    gradient = approx_fprime(flat(bank), objective, 1e-7)
    trained, _ = train_bank(bank, data, plan)
    steps = (flat(trained) - flat(bank)) / plan.learning_rate
    clear = np.abs(gradient) > 1e-5
    assert clear.mean() > 0.9
    np.testing.assert_allclose(steps[clear], -np.sign(gradient[clear]), atol=2e-3)


def test_loss_curve_is_the_mean_loss_in_nats():
    bank, data = fresh_bank(), blob_data()
    data = replace(data, sample_weight=np.linspace(0.1, 3, len(data.y)))
    _, record = train_bank(bank, data, FULL_BATCH)
    assert record.loss_curve[0] == pytest.approx(mean_loss(bank, data))


def test_early_stopping_restores_the_best_weights():
    bank, data = fresh_bank(), blob_data()
    wrong = replace(blob_data(60, seed=3), y=np.random.RandomState(4).randint(3, size=60))
    plan = replace(PLAN, max_iter=200, one_cycle=False, n_iter_no_change=5)
    trained, record = train_bank(bank, data, plan, validation=wrong)
    curve = record.validation_curve
    assert record.n_iter == len(curve) == record.best_iter + 5
    assert curve[-1] > min(curve) + plan.tol
    assert mean_loss(trained, wrong) == pytest.approx(curve[record.best_iter - 1])


def test_stops_when_the_training_loss_stands_still():
    plan = replace(PLAN, learning_rate=1e-9, one_cycle=False, n_iter_no_change=4)
    _, record = train_bank(fresh_bank(), blob_data(), plan)
    assert (record.best_iter, record.n_iter) == (1, 5)


def test_weights_equal_repeated_rows_in_full_batches():
    data = blob_data(80)
    weight = np.random.RandomState(5).randint(1, 3, size=80)
    repeated = TrainingData(
        *(np.repeat(a, weight, axis=0) for a in (data.X, data.y, data.sample_weight)),
        data.offset,
    )
    weighted = replace(data, sample_weight=weight.astype(float))
    results = [
        flat(train_bank(fresh_bank(), rows, FULL_BATCH)[0])
        for rows in (weighted, repeated, data)
    ]
    np.testing.assert_allclose(results[0], results[1], atol=1e-9)
    assert np.abs(results[0] - results[2]).max() > 1e-3


def test_seed_makes_the_result():
    def run(seed):
        return flat(train_bank(fresh_bank(), blob_data(), PLAN, seed=seed)[0])

    np.testing.assert_array_equal(run(7), run(7))
    assert np.abs(run(7) - run(8)).max() > 1e-3


def test_global_seed_does_not_matter():
    before = flat(train_bank(fresh_bank(), blob_data(), PLAN)[0])
    with torch.random.fork_rng():
        torch.manual_seed(99)
        after = flat(train_bank(fresh_bank(), blob_data(), PLAN)[0])
    np.testing.assert_array_equal(before, after)


@pytest.mark.slow
def test_thread_count_does_not_matter():
    n_threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            bank, _ = train_bank(fresh_bank(), blob_data(), PLAN)
            results.append(flat(bank))
    finally:
        torch.set_num_threads(n_threads)
    np.testing.assert_allclose(*results, rtol=0, atol=1e-9)


def test_one_offset_row_serves_for_all():
    data = replace(blob_data(), offset=np.array([[0.5, -1.0, 0.2]]))
    spread = replace(data, offset=np.repeat(data.offset, len(data.y), axis=0))
    one, _ = train_bank(fresh_bank(), data, PLAN)
    many, _ = train_bank(fresh_bank(), spread, PLAN)
    np.testing.assert_allclose(flat(one), flat(many), atol=1e-12)
    none, _ = train_bank(fresh_bank(), blob_data(), PLAN)
    assert np.abs(flat(one) - flat(none)).max() > 1e-3


def test_penalty_shrinks_the_weights():
    free, _ = train_bank(fresh_bank(), blob_data(), PLAN)
    held, _ = train_bank(fresh_bank(), blob_data(), replace(PLAN, alpha=0.02))
    sizes = [sum(np.square(w).sum() for w in bank.weights) for bank in (free, held)]
    assert sizes[1] < 0.7 * sizes[0]


def test_the_penalty_is_half_alpha_times_the_squares():
    # As of dense networks. Adam's first steps show the sign of the gradient only.
    bank, data, gradients = fresh_bank(), blob_data(), []
    network = TrainableBank(bank)
    inputs_of = bank_training._Inputs(bank, "cpu")
    rows = bank_training._to_device(data, "cpu", bank.dtype)
    for alpha in (0.0, 0.05):
        batch, plan = torch.arange(50), replace(PLAN, alpha=alpha)
        bank_training._step(network, inputs_of, rows, batch, plan)
        gradients.append(network.penalty_grad.clone())
    before, after = gradients
    np.testing.assert_allclose(after - before, 0.05 * network.penalty, atol=1e-12)


def test_report_is_called_after_every_epoch():
    reported = []
    plan = replace(PLAN, max_iter=3)
    _, record = train_bank(
        fresh_bank(),
        blob_data(),
        plan,
        validation=blob_data(40, seed=3),
        report=lambda *facts: reported.append(facts),
    )
    curves = zip(record.loss_curve, record.validation_curve, strict=True)
    assert reported == [(i, *losses) for i, losses in enumerate(curves, start=1)]


def test_replicas_are_judged_by_the_rows_that_each_leaves_out():
    bank, data = fresh_bank(), blob_data(41)
    bank = replace(bank, regions=REGIONS[:2]).take([0, 1])
    weight = np.random.RandomState(2).uniform(0.5, 2, size=41)
    share = (np.arange(41)[:, None] % 2 != np.arange(2)).astype(float)
    data = replace(data, sample_weight=weight, share=share)
    frozen = replace(PLAN, max_iter=1, learning_rate=1e-14)
    _, record = train_bank(bank, data, frozen, validation=data)
    losses, weights = [], []
    for r in range(2):
        rows = np.flatnonzero(share[:, r] == 0)[:20]  # as many for each
        left_out = data.take(rows)
        losses.append(mean_loss(bank.take([r]), left_out))
        weights.append(left_out.sample_weight.sum())
    expected = np.average(losses, weights=weights)
    np.testing.assert_allclose(record.validation_curve, [expected], rtol=FLOAT32)


def test_rows_without_a_share_judge_the_mean_of_the_replicas():
    bank, data = fresh_bank(), blob_data(40)
    bank = replace(bank, regions=REGIONS[:2]).take([0, 1])
    share = (np.arange(40)[:, None] % 2 != np.arange(2)).astype(float)
    frozen = replace(PLAN, max_iter=1, learning_rate=1e-14)
    trained, record = train_bank(
        bank, replace(data, share=share), frozen, validation=blob_data(30, seed=3)
    )
    expected = mean_loss(trained, blob_data(30, seed=3))
    np.testing.assert_allclose(record.validation_curve, [expected], rtol=FLOAT32)


def test_read_only_arrays_are_fine():
    # joblib hands large arrays to its workers as read-only memory maps.
    bank, data = fresh_bank(), blob_data()
    expected = flat(train_bank(bank, data, PLAN)[0])
    for array in (bank.regions, data.X, data.y, data.sample_weight, data.offset):
        array.setflags(write=False)
    np.testing.assert_array_equal(flat(train_bank(bank, data, PLAN)[0]), expected)
    train_bank(bank, data, replace(PLAN, max_iter=1), validation=data)


def scaled_up(bank, factor):
    return replace(bank, weights=(*bank.weights[:-1], factor * bank.weights[-1]))


@pytest.mark.parametrize("n_passes", [1, 15])
@pytest.mark.parametrize("factor", [1e6, 1e300, np.nan])
def test_branches_that_do_harm_are_reported_and_scaled_down(factor, n_passes):
    start, data = scaled_up(fresh_bank(), 10), blob_data()
    plan = replace(PLAN, max_iter=n_passes)
    assert mean_loss(start, data) > np.log(3) + 0.1
    with np.errstate(over="ignore", invalid="ignore"):
        trained = scaled_up(fresh_bank(), factor)
        kept, problem = usable(start, trained, data, plan, "cpu")
    assert "training diverged: the loss of the training rows is" in problem
    assert mean_loss(kept, data) < np.log(3) + 0.001
    ratio = kept.weights[-1] / start.weights[-1]
    assert 0.009 < ratio.min() <= 1
    np.testing.assert_allclose(ratio, ratio.max())


def test_branches_that_still_do_harm_are_scaled_down_after_all_passes():
    start, data = scaled_up(fresh_bank(), 20), blob_data()
    trained = scaled_up(fresh_bank(), 8)  # better than before, and worse than none
    ended = mean_loss(trained, data)
    kept, problem = usable(start, trained, data, PLAN, "cpu", ended)
    assert problem is None
    assert mean_loss(kept, data) < np.log(3) + 0.001 < mean_loss(trained, data)
    after_a_pass, problem = usable(start, trained, data, replace(PLAN, max_iter=1), "cpu")
    assert (after_a_pass, problem) == (trained, None)


@pytest.mark.parametrize("n_replicas", [1, 2])
@pytest.mark.parametrize("learning_rate", [1e3, 1e30])
def test_no_learning_rate_leaves_branches_that_do_harm(learning_rate, n_replicas):
    bank, data = fresh_bank(), blob_data()
    plan = replace(PLAN, learning_rate=learning_rate, one_cycle=False)
    validation = None
    if n_replicas == 2:
        fold = np.arange(len(data.y)) % 2
        data = replace(data, share=np.column_stack([fold, 1 - fold]).astype(np.float32))
        bank, validation = bank.take([0, 1, 2, 0, 1, 2]), data
    trained, _ = train_bank(bank, data, plan, validation=validation)
    assert mean_loss(trained, data) < np.log(3) + 0.01
    sound, record = train_bank(bank, data, PLAN, validation=validation)
    assert record.problem is None
    assert mean_loss(sound, data) < 0.8 * np.log(3)


def test_full_batches_end_with_the_best_weights_that_any_pass_began_with():
    """The loss of such a pass is that of the weights before its step, exactly."""
    bank, data = fresh_bank(), blob_data()
    plan = replace(FULL_BATCH, learning_rate=0.5, one_cycle=False, max_iter=30)
    trained, record = train_bank(bank, data, plan)
    assert record.loss_curve[-1] > min(record.loss_curve) + 0.01  # it goes up and down
    assert mean_loss(trained, data) <= min(record.loss_curve) + plan.tol
