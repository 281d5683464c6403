"""Networks that read windows: fit, growth, predictions and files."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import skgrow
from skgrow import GrowingNAMClassifier, ImagePatches
from skgrow.networks.forward import features_major

ONE = ImagePatches((1, 8, 8), 3, 3)
MANY = ImagePatches((1, 8, 8), 3, 2, window=3, pooling="mean", window_stride=1)
LARGEST = ImagePatches((1, 8, 8), 3, 1, window=3, pooling="max")


@pytest.mark.parametrize(
    "matching", ["exhaustive", pytest.param("both", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "regions", [(MANY, None), (ONE, MANY), (MANY, ONE), (LARGEST, None)]
)
def test_networks_of_windows_fit_grow_and_come_back_from_files(
    regions, matching, tmp_path
):
    X, y = load_digits(return_X_y=True)
    base, grow = regions
    model = GrowingNAMClassifier(
        regions=base, grow_regions=grow, max_iter=8, matching=matching, n_verified=200,
        round_size=10, random_state=0,
    )  # fmt: skip
    model.fit(X[:600], y[:600])
    before = model.score(X[1300:], y[1300:])
    model.grow(X[600:1300], y[600:1300], 20)
    assert model.n_branches_ > 0
    state, grown_by = model._state, grow or base
    network = state.network
    assert network.bank.window == base.places
    assert network.grown.uses.window == grown_by.places
    assert model.score(X[1300:], y[1300:]) > before - 0.02
    # Scores are those of the base plus the contributions of the uses.
    scaled, row = state.inputs.scaler.transform(X[1300:1301]), network.intercept
    row = row + network.bank.logits(scaled)[0]
    added = network.grown.runner("cpu", 10).contributions(features_major(scaled))[:, 0]
    np.add.at(row, network.grown.uses.target, added.numpy())
    np.testing.assert_allclose(model.decision_function(X[1300:1301])[0], row, rtol=1e-5)
    file = tmp_path / "model.skgrow"
    skgrow.save(model, file)
    again = skgrow.load(file)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again._state.regions.growth_window == grown_by.places
    more = [
        m.grow(X[600:1300], y[600:1300], 5).decision_function(X) for m in (model, again)
    ]
    np.testing.assert_array_equal(*more)


def test_elected_branches_vote_by_their_pooled_outputs(tmp_path):
    """Each vote is counted again in plain numpy, from the records of the branches."""
    X, y = load_digits(return_X_y=True)
    source = GrowingNAMClassifier(ONE, max_iter=8, random_state=0)
    source.fit(X[y < 5], y[y < 5])
    vote = skgrow.ElectionTransferClassifier(
        source, MANY, n_branches=12, n_verified=200, round_size=6, random_state=0
    ).fit(X[y >= 5], y[y >= 5])
    scaled = vote._state.inputs.scaler.transform(X[:40])
    counts = np.zeros((40, 5))
    assert vote.n_branches_ > 0
    for record in vote.grown_branches_:
        counts[:, record["target_class"] - 5] += _is_active(source.bank_, record, scaled)
    network = vote._state.network
    scores = network.logits_of_sums(counts)
    np.testing.assert_allclose(vote.decision_function(X[:40]), scores, atol=1e-9)
    skgrow.save(vote, tmp_path / "vote")
    again = skgrow.load(tmp_path / "vote").decision_function(X[:40])
    np.testing.assert_array_equal(again, vote.decision_function(X[:40]))


def _is_active(bank, record, scaled):
    places = MANY.places.offsets
    columns = np.array(record["region"])
    outputs = []
    for offset in places:
        h = scaled[:, columns + offset]
        for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
            h = np.maximum(h @ weight[record["branch"]] + bias[record["branch"]], 0)
        outputs.append(h @ bank.weights[-1][record["branch"]][:, record["branch_class"]])
    return np.mean(outputs, axis=0) > record["threshold"]
