"""The bank: forward pass, terms, counts."""

import numpy as np
import pytest
import torch

from skgrow.inputs.image_patches import ImagePatches
from skgrow.networks.bank import BranchBank
from skgrow.networks.forward import MOST_CHUNK_ROWS


def random_bank(hidden_layer_sizes=(5, 4), dtype=np.float64, seed=0):
    regions = np.array([[0, 1, 2], [2, 3, 4], [4, 0, 4], [1, 5, 3]])
    random_state = np.random.RandomState(seed)
    return BranchBank.random(regions, hidden_layer_sizes, 3, random_state, dtype)


def random_rows(n_rows=40, dtype=np.float64):
    return np.random.RandomState(1).uniform(-0.5, 0.5, size=(n_rows, 6)).astype(dtype)


def terms_by_loop(bank, X):
    """Every branch on its own, as an ordinary MLP."""
    terms = []
    for b, columns in enumerate(bank.regions):
        hidden = X[:, columns]
        for weight, bias in zip(bank.weights[:-1], bank.biases, strict=True):
            hidden = np.maximum(hidden @ weight[b] + bias[b], 0)
        terms.append(hidden @ bank.weights[-1][b])
    return np.stack(terms, axis=1)


def test_parameter_count_of_the_paper():
    regions = ImagePatches((3, 32, 32)).columns(6)
    random_state = np.random.RandomState(0)
    bank = BranchBank.random(regions, (9, 9, 9, 9), 10, random_state, np.float32)
    assert bank.n_branches == 75
    assert bank.n_outputs == 10
    assert bank.n_parameters == 33_750
    assert bank.n_multiply_adds == 33_750 - 75 * 4 * 9


@pytest.mark.parametrize("hidden_layer_sizes", [(5, 4), (7,), ()])
def test_forward_equals_a_loop_over_branches(hidden_layer_sizes):
    bank, X = random_bank(hidden_layer_sizes), random_rows()
    terms = terms_by_loop(bank, X)
    assert np.abs(terms).max() > 0.01
    np.testing.assert_allclose(bank.terms(X), terms, atol=1e-13)
    np.testing.assert_allclose(bank.logits(X), terms.sum(axis=1), atol=1e-13)


@pytest.mark.parametrize(
    "n_rows", [1, MOST_CHUNK_ROWS - 1, MOST_CHUNK_ROWS, 2 * MOST_CHUNK_ROWS + 3]
)
def test_terms_sum_to_logits_over_chunks(n_rows):
    bank, X = random_bank(), random_rows(n_rows)
    logits = bank.logits(X)
    assert logits.shape == (n_rows, 3)
    np.testing.assert_allclose(bank.terms(X).sum(axis=1), logits, atol=1e-13)
    np.testing.assert_allclose(logits[-1:], bank.logits(X[-1:]), atol=1e-13)


def test_no_rows():
    bank, X = random_bank(), random_rows(0)
    assert bank.logits(X).shape == (0, 3)
    assert bank.terms(X).shape == (0, 4, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(dtype):
    bank, X = random_bank(dtype=dtype), random_rows(dtype=dtype)
    assert bank.dtype == dtype
    assert bank.logits(X).dtype == dtype
    assert bank.terms(X).dtype == dtype


def test_random_bank_is_drawn_like_torch_linear():
    regions = np.tile(np.arange(9), (400, 1))
    random_state = np.random.RandomState(0)
    bank = BranchBank.random(regions, (4,), 2, random_state, np.float64)
    for array, bound in [(bank.weights[0], 1 / 3), (bank.weights[1], 1 / 2)]:
        assert np.abs(array).max() <= bound
        assert np.abs(array).max() > 0.99 * bound
        assert array.std() == pytest.approx(bound / 3**0.5, rel=0.05)
    assert np.abs(bank.biases[0]).max() <= 1 / 3
    assert len(bank.biases) == 1


def test_seed_makes_the_bank():
    same = zip(random_bank().weights, random_bank().weights, strict=True)
    assert all(np.array_equal(first, second) for first, second in same)
    assert not np.array_equal(random_bank().weights[0], random_bank(seed=1).weights[0])


def test_forward_changes_nothing():
    bank, X = random_bank(), random_rows()
    kept = [array.copy() for array in (*bank.weights, *bank.biases, X)]
    bank.logits(X)
    bank.terms(X)
    for array, copy in zip((*bank.weights, *bank.biases, X), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_read_only_arrays_are_fine():
    # joblib hands large arrays to its workers as read-only memory maps.
    bank, X = random_bank(), random_rows()
    expected = bank.logits(X)
    for array in (bank.regions, *bank.weights, *bank.biases, X):
        array.setflags(write=False)
    np.testing.assert_array_equal(bank.logits(X), expected)


def test_thread_count_does_not_matter():
    bank, X = random_bank(), random_rows(2000)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = bank.logits(X)
        torch.set_num_threads(2)
        two = bank.logits(X)
    finally:
        torch.set_num_threads(before)
    np.testing.assert_allclose(one, two, rtol=0, atol=1e-13)
