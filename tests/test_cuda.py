"""On a GPU: the same results as on the CPU, up to the rounding of float32."""

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from skgrow import ElectionTransferClassifier, GrowingNAMClassifier, ImagePatches
from skgrow.forward import features_major
from skgrow.growth.screening import screen_plain
from skgrow.losses import CROSS_ENTROPY

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
    X, y = base._scaler.transform(rows[0]), rows[1]
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


def test_state_stays_on_the_cpu(base, rows):
    gpu = on_gpu(base).fit(*rows).grow(*rows, 5)
    assert all(isinstance(w, np.ndarray) for w in gpu.bank_.weights)
    back = gpu.set_params(device="cpu").predict(rows[0])
    assert back.shape == rows[1].shape
