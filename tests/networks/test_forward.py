"""The forward pass: inputs, stacks of layers, chunks and shared memory."""

import numpy as np
import pytest
import torch

from skgrow.networks.bank import BranchBank
from skgrow.networks.forward import (
    BRANCHES_PER_CHUNK,
    LAYER_BYTES,
    LEAST_CHUNK_ROWS,
    MOST_CHUNK_ROWS,
    BankRunner,
    Scratch,
    features_major,
    input_columns,
    row_chunks,
)


def random_bank(n_branches=4, sizes=(5, 2, 7), seed=0):
    rng = np.random.RandomState(seed)
    regions = rng.randint(6, size=(n_branches, 3))
    return BranchBank.random(regions, sizes, 3, rng, np.float64)


def test_row_chunks_cover_every_row_once():
    rows = np.arange(23)
    chunks = [rows[chunk] for chunk in row_chunks(23, size=5)]
    np.testing.assert_array_equal(np.concatenate(chunks), rows)
    assert max(len(chunk) for chunk in chunks) == 5
    assert row_chunks(0) == []


def test_features_have_a_row_of_ones_below():
    X = np.random.RandomState(0).normal(size=(150, 3))  # more than one block of rows
    features = features_major(X).numpy()
    np.testing.assert_array_equal(features[:-1], X.T)
    np.testing.assert_array_equal(features[-1], 1)
    columns = np.array([[2, 0], [1, 1]])
    inputs = input_columns(features_major(X), columns).numpy()
    np.testing.assert_array_equal(inputs[:, :-1], X.T[columns])
    np.testing.assert_array_equal(inputs[:, -1], 1)


@pytest.mark.parametrize("shared", [False, True])
def test_a_stack_is_the_branches_one_by_one(shared):
    rng = np.random.RandomState(0)
    bank = BranchBank.random(np.tile([0, 1, 2], (4, 1)), (5, 2, 7), 3, rng, np.float64)
    X = rng.normal(size=(9, 3))
    inputs = features_major(X)
    inputs = inputs if shared else inputs.expand(4, -1, -1)
    threshold = rng.normal(size=(4, 3))
    stack = bank.stack()
    outputs = stack.outputs(inputs).clone()  # the next call writes over it
    lowered = stack.lowered(torch.tensor(threshold)).outputs(inputs).numpy()
    for b in range(4):
        hidden = X
        for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
            hidden = np.maximum(hidden @ weight[b] + bias[b], 0)
        expected = (hidden @ bank.weights[-1][b]).T
        np.testing.assert_allclose(outputs[b].numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(
            lowered[b], expected - threshold[b][:, None], atol=1e-12
        )


def test_features_may_use_memory_again():
    rng = np.random.RandomState(0)
    memory = np.empty((4, 100))
    for n_rows in (100, 70, 100):
        X = rng.normal(size=(n_rows, 3))
        found = features_major(X, out=memory)
        np.testing.assert_array_equal(found.numpy(), features_major(X).numpy())
        assert np.shares_memory(found.numpy(), memory)


@pytest.mark.parametrize("n_branches", [1, 40, 75, 5000])
def test_a_layer_of_a_chunk_stays_in_cache(n_branches):
    stack = random_bank(n_branches, sizes=(9, 9)).stack()
    n_rows = stack.chunk_rows
    assert LEAST_CHUNK_ROWS <= n_rows <= MOST_CHUNK_ROWS
    if n_rows < MOST_CHUNK_ROWS:
        largest = n_branches * 10 * 8 * (n_rows + LEAST_CHUNK_ROWS)
        assert largest > LAYER_BYTES  # no more rows would fit
    if n_rows > LEAST_CHUNK_ROWS:
        assert n_branches * 10 * 8 * n_rows <= LAYER_BYTES


@pytest.mark.parametrize("sizes", [(5, 2, 7), ()])
def test_a_runner_sums_all_branches(sizes):
    bank = random_bank(2 * BRANCHES_PER_CHUNK + 3, sizes)
    X = np.random.RandomState(1).normal(size=(300, 6))
    found = BankRunner(bank).logits(features_major(X)).numpy()
    np.testing.assert_allclose(found.T, bank.terms(X).sum(axis=1), atol=1e-12)


def test_stacks_may_share_their_scratch_memory():
    scratch = Scratch()
    banks = [random_bank(n, seed=n) for n in (3, 9, 5)]
    stacks = [bank.stack(scratch=scratch) for bank in banks]
    for n_rows in (10, 200, 10):
        X = np.random.RandomState(n_rows).normal(size=(n_rows, 6))
        for bank, stack in zip(banks, stacks, strict=True):
            inputs = input_columns(features_major(X), bank.regions)
            expected = bank.terms(X).transpose(1, 2, 0)
            np.testing.assert_allclose(stack.outputs(inputs), expected, atol=1e-12)
