"""Blocks of dense networks: what they compute, their sizes, and whether they fit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skgrow.networks.blocks import (
    Layer,
    Parallel,
    activation,
    block_at,
    block_outputs,
    mapped,
    parameters_of,
    parts_of,
    replaced_at,
    series_fits,
    with_moments,
)

RNG = np.random.RandomState(0)
F64 = np.dtype("float64")


def layer(n_out, n_in, slope=False, gate=False):
    arrays = (RNG.normal(size=n_out) for _ in range(3))
    bias, slopes, gates = arrays
    weight = RNG.normal(size=(n_out, n_in))
    return Layer.of(weight, bias, slopes if slope else None, gates if gate else None)


def added(*branches):
    return Parallel(branches, with_moments(RNG.normal(size=len(branches))))


A, B, C, D = layer(3, 2), layer(4, 3, slope=True), layer(4, 2), layer(2, 2, gate=True)
SUM = added((A, B), (C,))  # 2 inputs, 4 outputs
SIDE = Parallel(((C,), (SUM, layer(1, 4)), (D,)))  # 2 inputs, 4 + 1 + 2 outputs
BLOCKS = {"layer": C, "slopes": B, "gate": D, "sum": SUM, "side by side": SIDE}


def plain(block, x):
    """Outputs for one row, unit by unit."""
    if isinstance(block, Layer):
        outputs = []
        for j in range(block.n_out):
            z = block.bias[0, j] + sum(block.weight[0, j] * x)
            a = 0.0 if block.slope is None else block.slope[0, j]
            h = z if z > 0 else a * z
            outputs.append(h if block.gate is None else x[j] + block.gate[0, j] * h)
        return np.array(outputs)
    found = []
    for branch in block.branches:
        h = x
        for inner in branch:
            h = plain(inner, h)
        found.append(h)
    if block.scale is None:
        return np.concatenate(found)
    return sum(block.scale[0, k] * h for k, h in enumerate(found))


@pytest.mark.parametrize("name", BLOCKS)
def test_outputs_are_those_of_a_plain_loop(name):
    block = BLOCKS[name]
    X = RNG.normal(size=(7, block.n_in))
    seen = []
    found = block_outputs(torch.tensor(X), block.tensors(), seen).numpy()
    wanted = np.array([plain(block, x) for x in X])
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)
    [(x, z)] = seen  # one entry for the whole tree
    np.testing.assert_array_equal(x, X)
    if isinstance(block, Parallel):
        np.testing.assert_array_equal(z, found)


def test_sizes_are_counted_through_the_tree():
    assert (SUM.n_in, SUM.n_out, SUM.merge) == (2, 4, "add")
    assert (SIDE.n_in, SIDE.n_out, SIDE.merge) == (2, 7, "concat")
    assert SUM.n_weights == 3 * 2 + 4 * 3 + 4 * 2
    assert SIDE.n_weights == 4 * 2 + SUM.n_weights + 4 + 2 * 2
    thin = replace(A, mask=np.array([[1, 0], [0, 0], [1, 1]], dtype=bool))
    assert added((thin, B), (C,)).n_weights == 3 + 4 * 3 + 4 * 2
    assert list(SUM.arrays) == ["scale"]
    assert not SIDE.arrays


def test_parts_come_depth_first():
    blocks = (C, SUM, layer(4, 4))
    parts = list(parts_of(blocks))
    assert [id(p) for p in parts] == [id(p) for p in (C, A, B, C, SUM, blocks[2])]
    shapes = [
        tuple(t.shape) for t in parameters_of([SUM.tensors()])
    ]  # of A, of B and its slopes, of C, the scale
    assert shapes == [(3, 2), (3,), (4, 3), (4,), (4,), (4, 2), (4,), (2,)]


def test_mapped_changes_every_part_once():
    order = []

    def counted(part):
        order.append(type(part))
        return replace(part, n_steps=part.n_steps + 1)

    blocks = (SIDE,)
    changed = mapped(blocks, counted)
    assert [part.n_steps for part in parts_of(changed)] == [1] * 8
    assert order == [type(part) for part in parts_of(blocks)]
    assert [part.n_steps for part in parts_of(blocks)] == [0] * 8


# ------------------------------------------------------------------------------- paths


def test_a_path_leads_to_a_block():
    blocks = (SIDE, layer(3, 7))
    assert block_at(blocks, (0,)) is SIDE
    assert block_at(blocks, (0, 1, 0)) is SUM
    assert block_at(blocks, (0, 1, 0, 0, 1)) is B


def test_a_block_at_a_path_is_replaced_and_nothing_else():
    blocks, fresh = (SIDE, layer(3, 7)), layer(4, 3)
    changed = replaced_at(blocks, (0, 1, 0, 0, 1), fresh)
    assert block_at(changed, (0, 1, 0, 0, 1)) is fresh
    assert block_at(blocks, (0, 1, 0, 0, 1)) is B
    others = [p for p in parts_of(changed) if isinstance(p, Layer) and p is not fresh]
    before = [p for p in parts_of(blocks) if isinstance(p, Layer) and p is not B]
    assert [id(p) for p in others] == [id(p) for p in before]
    assert block_at(changed, (0, 1, 0)).scale is SUM.scale


@pytest.mark.parametrize(
    "path",
    [(), (2,), (-1,), (0, 3, 0), (0, 1), (0, 1, 2), (1, 0, 0), (0, 0, 0, 0, 0)],
)
def test_a_path_to_no_block_is_told(path):
    with pytest.raises(ValueError, match=r"no block at path .* of a network of 2 blocks"):
        block_at((SIDE, layer(3, 7)), path)


# ----------------------------------------------------------------- what does not fit


def test_what_fits_does():
    assert all(block.fits(block.n_in, F64) for block in BLOCKS.values())
    assert series_fits((SUM, layer(2, 4)), 2, F64)
    assert not series_fits((SUM, layer(2, 3)), 2, F64)
    assert not series_fits((SUM, None), 2, F64)


def f4(part):
    arrays = {name: planes.astype("f4") for name, planes in part.arrays.items()}
    return replace(part, **arrays)


WRONG = {
    "no branches": Parallel(()),
    "an empty branch": added((C,), ()),
    "another number of inputs": added((C,), (B,)),
    "a break in a branch": added((C,), (A, C)),
    "sums of different widths": added((C,), (A,)),
    "a number of scales": replace(SUM, scale=SUM.scale[:, :1]),
    "planes of scales": replace(SUM, scale=SUM.scale[:2]),
    "precision of scales": f4(SUM),
    "precision of a branch": added((C,), (f4(C),)),
    "no block in a branch": added((C,), (None,)),
    "a gate in a branch": added((C,), (replace(C, gate=C.bias),)),
    "deep inside": Parallel(((C,), (added((C,), (A,)),))),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_seen(name):
    assert not WRONG[name].fits(2, F64)


@pytest.mark.parametrize("block", [C, SUM, SIDE])
def test_blocks_of_another_input_or_precision_do_not_fit(block):
    assert block.fits(2, F64)
    assert not block.fits(3, F64)
    assert not block.fits(2, np.dtype("float32"))


def test_our_relu_learns_at_zero_in_branches_too():
    z = torch.zeros(3, requires_grad=True)
    activation(z).sum().backward()
    assert z.grad.tolist() == [1, 1, 1]
