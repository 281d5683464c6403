"""On a GPU: the same results as on the CPU, up to the rounding of float32."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits

from skgrow import (
    ElectionTransferClassifier,
    GrowingMLPClassifier,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    ImagePatches,
)
from skgrow.growth.reuse.screening import screen_plain
from skgrow.networks.forward import features_major
from skgrow.training.bank_gradient import TrainableBank
from skgrow.training.losses import CROSS_ENTROPY

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="torch sees no CUDA device here"
)
PATCHES = ImagePatches((1, 8, 8), patch_size=3, stride=2)


@pytest.fixture(scope="module")
def rows():
    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def base(rows):
    return GrowingNAMClassifier(PATCHES, max_iter=20, random_state=0).fit(*rows)


def on_gpu(model):
    return copy.deepcopy(model).set_params(device="cuda")


def test_predictions_agree(base, rows):
    grown = copy.deepcopy(base).grow(*rows, 30)
    X, _ = rows
    for model in (base, grown):
        np.testing.assert_allclose(
            on_gpu(model).decision_function(X), model.decision_function(X), atol=1e-3
        )


def test_screening_agrees(base, rows):
    X, y = base._state.inputs.scaler.transform(rows[0]), rows[1]
    now = CROSS_ENTROPY.residual(
        base.decision_function(rows[0]), y, np.ones(len(y), dtype=np.float32)
    )
    columns = PATCHES.columns(stride=1)
    found = [
        screen_plain(
            base.bank_, features_major(X, device), now, np.arange(36), columns, n_keep=9
        )
        for device in ("cpu", "cuda")
    ]
    gains = [np.sort(candidates.gain)[::-1][:50] for candidates in found]
    np.testing.assert_allclose(*gains, rtol=1e-3)


def test_growth_is_as_good(base, rows):
    """Rounding may choose another of two equal candidates, so scores are compared."""
    X, y = rows
    found = [
        model.grow(X, y, 30).score(X, y) for model in (copy.deepcopy(base), on_gpu(base))
    ]
    assert min(found) > base.score(X, y)
    assert abs(found[0] - found[1]) < 0.01


def test_training_is_as_good(base, rows):
    X, y = rows
    gpu = on_gpu(base).fit(X, y)
    np.testing.assert_allclose(gpu.loss_curve_[0], base.loss_curve_[0], rtol=1e-3)
    assert abs(gpu.score(X, y) - base.score(X, y)) < 0.02


def test_election_agrees(base, rows):
    X, y = rows
    vote = ElectionTransferClassifier(base, PATCHES, n_branches=40, random_state=0)
    cpu = vote.fit(X[:900], y[:900])
    np.testing.assert_allclose(
        on_gpu(cpu).decision_function(X), cpu.decision_function(X), atol=1e-3
    )
    gpu = on_gpu(cpu).fit(X[:900], y[:900])
    assert abs(gpu.score(X[900:], y[900:]) - cpu.score(X[900:], y[900:])) < 0.03


def test_fitted_votes_agree(base, rows):
    X, y = rows
    vote = ElectionTransferClassifier(
        base, PATCHES, votes="fitted", n_branches=200, random_state=0
    )
    cpu = vote.fit(X[:900], y[:900])
    np.testing.assert_allclose(
        on_gpu(cpu).decision_function(X), cpu.decision_function(X), atol=1e-2
    )
    gpu = on_gpu(cpu).fit(X[:900], y[:900])
    assert abs(gpu.score(X[900:], y[900:]) - cpu.score(X[900:], y[900:])) < 0.03


def test_state_stays_on_the_cpu(base, rows):
    gpu = on_gpu(base).fit(*rows).grow(*rows, 5)
    assert all(isinstance(w, np.ndarray) for w in gpu.bank_.weights)
    back = gpu.set_params(device="cpu").predict(rows[0])
    assert back.shape == rows[1].shape


def test_gradients_agree(base):
    found = []
    for device in ("cpu", "cuda"):
        network = TrainableBank(base.bank_, device=device)
        n_branches, region_size = base.bank_.regions.shape
        state = np.random.RandomState(0)
        draw = state.normal(size=(n_branches, region_size, 50)).astype(np.float32)
        grad = state.normal(size=(1, 10, 50)).astype(np.float32)
        logits = network.logits(torch.tensor(draw, device=device)).cpu()
        network.backward(torch.tensor(grad, device=device))
        found.append((logits, network.parameters.grad.cpu()))
    for cpu, gpu in zip(*found, strict=True):
        np.testing.assert_allclose(gpu, cpu, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")
def test_a_table_is_explained_alike():
    X, y = load_breast_cancer(return_X_y=True)
    cpu = GrowingNAMClassifier(max_iter=10, n_branches=3, random_state=0)
    cpu.fit(X[:, :6], y)
    gpu = on_gpu(cpu)
    for what in ("decision_function", "eval_terms"):
        wanted = getattr(cpu, what)(X[:, :6])
        np.testing.assert_allclose(getattr(gpu, what)(X[:, :6]), wanted, atol=1e-6)
    gpu.fit(X[:, :6], y)
    assert abs(gpu.score(X[:, :6], y) - cpu.score(X[:, :6], y)) < 0.02


def test_a_regressor_is_as_good():
    X, y = load_diabetes(return_X_y=True)
    cpu = GrowingNAMRegressor(max_iter=10, random_state=0).fit(X, y)
    assert abs(on_gpu(cpu).fit(X, y).score(X, y) - cpu.score(X, y)) < 0.02


@pytest.mark.parametrize("how", ["gradmax", "net2wider", "firefly", "swe", "autogrow"])
def test_a_dense_network_is_as_good(rows, how):
    X, y = rows
    cpu = GrowingMLPClassifier(how=how, max_iter=15, random_state=0).fit(X, y)
    gpu = on_gpu(cpu)
    np.testing.assert_allclose(
        gpu.predict_proba(X), cpu.predict_proba(X), rtol=1e-3, atol=1e-4
    )
    assert abs(gpu.fit(X, y).score(X, y) - cpu.score(X, y)) < 0.05


def test_workers_share_the_gpu(base, rows):
    X, y = rows
    alone, shared = on_gpu(base), on_gpu(base).set_params(n_jobs=2)
    scores = [model.grow(X, y, 10).score(X, y) for model in (alone, shared)]
    assert abs(scores[0] - scores[1]) < 0.01
