"""Windows in networks: outputs of loops over places, counts, memory, one place."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_growth import Halves
from plain_windows import (
    K,
    branch_outputs,
    patches,
    pixels,
    pooled_output,
    windowed_bank,
    windowed_candidates,
)

from skgrow.inputs.windows import ONE_PLACE, Window
from skgrow.networks.branch_uses import Candidates, FoldedBranches, count_trunks
from skgrow.networks.forward import features_major
from skgrow.networks.grown import GrownBranches, Network

OVERLAPPING = {"window": 4, "stride": 1, "window_stride": 2}
HOW = [{}, OVERLAPPING]


def inside(how):
    return {name: how[name] for name in how if name != "window_stride"}


def grown_of(bank, uses, seed=3):
    rng = np.random.RandomState(seed)
    span, scale, bias = rng.uniform(0.5, 2, (3, len(uses)))
    return GrownBranches(bank, uses, span, scale, bias, *np.zeros((3, len(uses))))


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("how", HOW)
def test_a_bank_pools_the_outputs_of_its_places(pooling, how):
    bank, X = windowed_bank(pooling, **how), pixels(7)
    terms = [
        [
            branch_outputs(bank, b, x, pooling, **inside(how))
            for b in range(bank.n_branches)
        ]
        for x in X
    ]
    assert np.abs(terms).max() > 0.1
    np.testing.assert_allclose(bank.terms(X), terms, atol=1e-13)
    np.testing.assert_allclose(bank.logits(X), np.sum(terms, axis=1), atol=1e-12)


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("bounded", [False, True])
def test_uses_pool_before_the_threshold(pooling, how, bounded):
    bank, X = windowed_bank(pooling), pixels(5)
    uses = windowed_candidates(40, bank, pooling, bounded, **how)
    grown = grown_of(bank, uses)
    outputs = np.array(
        [
            [pooled_output(bank, uses, m, x, pooling, **inside(how)) for x in X]
            for m in range(40)
        ]
    )
    value = np.maximum(outputs - uses.threshold[:, None], 0) / grown.span[:, None]
    assert 0.2 < (value > 0).mean() < 0.8
    expected = grown.scale[:, None] * value + grown.bias[:, None] * (value > 0)
    features, runner = features_major(X), grown.runner("cpu", K)
    np.testing.assert_allclose(runner.contributions(features), expected, atol=1e-12)
    by_class = [expected[uses.target == t].sum(axis=0) for t in range(K)]
    np.testing.assert_allclose(runner.logits(features), by_class, atol=1e-12)
    found = FoldedBranches(bank, uses).outputs(features)
    np.testing.assert_allclose(found, outputs, atol=1e-12)


def test_base_and_uses_read_windows_of_their_own():
    bank, X = windowed_bank("max"), pixels(600)
    one = replace(bank, window=ONE_PLACE)
    grown = grown_of(one, windowed_candidates(30, one, "mean", **OVERLAPPING))
    network = Network(one, grown, np.arange(3.0))
    runner = grown.runner("cpu", K)
    added = runner.logits(features_major(X / 2)).numpy().T
    expected = np.arange(3.0) + one.logits(X / 2) + added
    np.testing.assert_allclose(network.logits(X, Halves()), expected, atol=1e-12)


def test_columns_may_be_those_that_are_used_alone():
    bank, X = windowed_bank(), pixels(6)
    uses = windowed_candidates(9, bank)
    used = np.unique(uses.seen)
    assert len(used) < X.shape[1]
    few = FoldedBranches(bank, uses, used=used).outputs(features_major(X[:, used]))
    every = FoldedBranches(bank, uses).outputs(features_major(X))
    assert torch.equal(few, every)


def test_a_window_of_one_place_is_no_window():
    bank = windowed_bank(window=1, stride=1)
    X, plain = pixels(50), replace(windowed_bank(window=1, stride=1), window=ONE_PLACE)
    for pooling in ("mean", "max"):
        alone = replace(bank, window=Window(np.array([0]), pooling))
        np.testing.assert_array_equal(alone.logits(X), plain.logits(X))
        np.testing.assert_array_equal(alone.terms(X), plain.terms(X))
        assert alone.n_multiply_adds == plain.n_multiply_adds


def test_multiply_adds_count_every_place_once():
    n = len(patches().base_columns)
    hidden, readout = 4 * 4 + 4 * 3, 3 * K
    assert windowed_bank("mean").n_multiply_adds == n * (4 * hidden + readout)
    assert windowed_bank("max").n_multiply_adds == n * (4 * hidden + 4 * readout)
    for pooling, n_readouts in (("mean", 1), ("max", 4)):
        bank = windowed_bank(pooling)
        uses = windowed_candidates(60, bank, pooling)
        trunks, outputs = count_trunks(uses)
        assert trunks < outputs < len(uses)
        expected = trunks * 4 * hidden + outputs * n_readouts * 3 + 60
        assert grown_of(bank, uses).n_multiply_adds == expected


def test_records_name_the_first_place_and_the_window():
    bank = windowed_bank("max")
    grown = grown_of(bank, windowed_candidates(3, bank, "max"))
    for record, columns in zip(
        grown.records(np.arange(K), None), grown.uses.columns, strict=True
    ):
        assert record["region"] == columns.tolist()
        assert (record["n_places"], record["pooling"]) == (4, "max")


def test_uses_of_different_windows_do_not_mix():
    bank = windowed_bank()
    one, other = windowed_candidates(3, bank), windowed_candidates(3, bank, "max")
    with pytest.raises(ValueError, match="different windows"):
        Candidates.concatenate([one, other])
    none = GrownBranches.empty(bank)
    assert none.extended(grown_of(bank, one)).uses.window == one.window
    assert Candidates.concatenate([one, none.uses]).window == one.window


def test_a_window_beyond_the_image_does_not_fit():
    bank, n_columns = windowed_bank(), pixels(1).shape[1]
    reach = bank.seen.max() + 1
    assert bank.fits(n_columns)
    assert bank.fits(reach)
    assert not bank.fits(reach - 1)
    uses = windowed_candidates(50, bank)
    grown, reach = grown_of(bank, uses), uses.seen.max() + 1
    assert grown.fits(reach, K)
    assert not grown.fits(reach - 1, K)
    assert not replace(bank, window=Window(np.array([], np.int64), "mean")).fits()


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_memory_does_not_grow_with_places(pooling, monkeypatch):
    """Of a chunk, places times rows are as many as the rows of one place."""
    bank = windowed_bank(pooling, sizes=(9, 9), window=5, stride=1)
    X, sizes = pixels(3000), []
    stack = bank.stack()
    hidden = type(stack).hidden

    def counted(self, inputs):
        sizes.append((inputs.shape[-1], self.chunk_rows))
        return hidden(self, inputs)

    monkeypatch.setattr(type(stack), "hidden", counted)
    bank.logits(X)
    uses = windowed_candidates(200, bank, pooling, window=5, stride=1)
    grown_of(bank, uses).runner("cpu", K).logits(features_major(X))
    assert len(sizes) > 2
    assert all(25 <= n <= most for n, most in sizes)
