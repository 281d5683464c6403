"""The gradient of a dense network in training, and a pass of Adam with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skgrow.networks.blocks import Layer, Parallel, mapped, parameters_of, parts_of
from skgrow.networks.perceptron import Perceptron, forward
from skgrow.training.dense_gradient import TrainablePerceptron
from skgrow.training.dense_training import Rows, train_pass

N_COLUMNS, N_OUTPUTS = 5, 3
PLAN = {"batch_size": 16, "learning_rate": 1e-2}


def layer_of(n_out, n_in, state, kinds="", n_steps=7):
    """A layer with moments; of kinds s(lopes), g(ate), m(ask)."""

    def planes(shape, low=-1.0, high=1.0):
        return np.stack(
            [state.uniform(low, high, size=shape), 1e-2 * state.normal(size=shape),
             1e-3 * state.uniform(size=shape)]
        )  # fmt: skip

    weight, mask = planes((n_out, n_in)), None
    if "m" in kinds:
        mask = state.uniform(size=(n_out, n_in)) < 0.6
        weight = weight * mask
    return Layer(
        weight, planes(n_out),
        slope=planes(n_out, 0, 2) if "s" in kinds else None,
        gate=planes(n_out) if "g" in kinds else None,
        n_steps=n_steps, mask=mask,
    )  # fmt: skip


def series_of(plan, n_in, state):
    """Blocks: a layer is `(n_out, kinds)`, a parallel block `(merge, *branches)`."""
    blocks = []
    for first, *rest in plan:
        if isinstance(first, int):
            block = layer_of(first, n_in, state, *rest)
        else:
            branches = tuple(series_of(branch, n_in, state) for branch in rest)
            scale = np.stack(
                [state.uniform(-1, 1, len(rest)), 1e-2 * state.normal(size=len(rest)),
                 1e-3 * state.uniform(size=len(rest))]
            )  # fmt: skip
            block = Parallel(branches, scale if first == "add" else None, n_steps=7)
        blocks.append(block)
        n_in = block.n_out
    return tuple(blocks)


def net_of(*hidden, readout="", dtype=np.float64, seed=0):
    """A network of hidden blocks as `series_of` has them."""
    state = np.random.RandomState(seed)
    blocks = series_of((*hidden, (N_OUTPUTS, readout)), N_COLUMNS, state)
    if dtype != np.float64:
        blocks = mapped(blocks, lambda part: astype(part, dtype))
    return Perceptron(blocks)


def astype(part, dtype):
    arrays = {name: planes.astype(dtype) for name, planes in part.arrays.items()}
    return replace(part, **arrays)


NETS = {
    "no hidden layer": (),
    "plain": ((4, ""),),
    "two layers": ((4, ""), (6, "")),
    "slopes": ((4, "s"), (6, "s")),
    "gate": ((4, ""), (4, "g")),
    "gates in a row": ((4, ""), (4, "g"), (4, "g"), (4, "g")),
    "gate on the inputs": ((5, "g"), (3, "")),
    "slopes and gate": ((4, "s"), (4, "sg"), (6, "")),
    "mask": ((4, "m"), (6, "m")),
    "all": ((4, "sm"), (4, "sgm"), (4, "g"), (6, ""), (2, "s")),
    "added": ((4, ""), ("add", [(6, "")], [(6, "")])),
    "added first": (("add", [(4, "s")], [(4, "")], [(4, "")]), (2, "")),
    "concatenated": ((4, ""), ("concat", [(1, "")], [(3, "s")], [(2, "m")])),
    "concatenated first": (("concat", [(3, "")], [(2, "")]),),
    "unequal paths": (
        ("add", [(6, "")], [(4, ""), (3, "s"), (6, "")]), (3, ""),
        ("concat", [(3, "g"), (3, "g")], [(2, "")]),
    ),
    "one after the other": (
        (4, ""), ("add", [(4, "")], [(4, "g")]), ("add", [(4, "s")], [(4, "")]),
        ("concat", [(2, "")], [(3, "")]), ("concat", [(2, "")], [(3, "")]),
    ),
    "tree": (
        (4, "s"), ("add", [("concat", [(2, "")], [(4, "g")])], [(5, "m"), (6, "")]),
        ("concat", [(6, "g")], [("add", [(2, "")], [(3, ""), (2, "s")]), (2, "sg")]),
    ),
    "sums of sums": (
        ("add", [("add", [(3, "")], [(3, "s")])],
         [(4, ""), ("add", [(3, "")], [(3, "")])]),
    ),
    "tree first": (
        ("add", [("add", [(3, "")], [(3, "")]), (3, "")], [(3, ""), (3, "g")]),
    ),
}  # fmt: skip


def rows_of(n=50, n_targets=None, dtype=np.float64, seed=1):
    """Rows of different weights; classes, or as many targets."""
    state = np.random.RandomState(seed)
    X = state.normal(size=(n, N_COLUMNS)).astype(dtype)
    y = state.randint(N_OUTPUTS, size=n)
    if n_targets is not None:
        y = state.normal(size=(n, n_targets)).astype(dtype)
    return Rows.of(X, y, state.uniform(0.5, 2, size=n), "cpu")


def tensors_of(net):
    tensors = net.tensors()
    for tensor in parameters_of(tensors):
        tensor.requires_grad_()
    return tensors


def flat(tensors):
    """A dict for each part of a network, in the order of `parts_of`."""
    found = []
    for block in tensors:
        for branch in block.get("branches", ()):
            found += flat(branch)
        found.append({name: t for name, t in block.items() if name != "branches"})
    return found


@pytest.mark.parametrize("name", NETS)
def test_gradient_is_that_of_autograd(name):
    net = net_of(*NETS[name], readout="m" if name in ("mask", "all") else "")
    network = TrainablePerceptron(net)
    for n_rows in (11, 4, 30):  # memory is used again, and grows
        x = rows_of(n_rows).X
        wanted = torch.tensor(np.random.RandomState(n_rows).normal(size=(3, n_rows)))
        tensors = tensors_of(net)
        expected = forward(x, tensors)
        (expected.T * wanted).sum().backward()
        np.testing.assert_allclose(
            network.logits(x.T), expected.detach().T, rtol=0, atol=1e-12
        )
        network.backward(wanted.clone())
        for found, layer in zip(network.gradients, flat(tensors), strict=True):
            assert found.keys() == layer.keys()
            for array, tensor in layer.items():
                np.testing.assert_allclose(
                    found[array].reshape(tensor.shape), tensor.grad, rtol=0, atol=1e-12
                )


@pytest.mark.parametrize("kinds", ["", "s", "g", "sg"])
def test_units_of_zeros_learn(kinds):
    """The derivative at 0 is 1: those that GradMax adds would else be dead for ever."""
    net = net_of((5, kinds))
    first = net.layers[0]
    first = replace(first, weight=first.weight * 0, bias=first.bias * 0)
    net, x = net.with_layers(0, 1, first), rows_of(20).X
    tensors = tensors_of(net)
    (forward(x, tensors)[:, 0]).sum().backward()
    network = TrainablePerceptron(net)
    network.logits(x.T)
    slope = torch.zeros((3, 20), dtype=torch.float64)
    slope[0] = 1
    network.backward(slope)
    found = network.gradients[0]["weight"]
    assert (found.abs().max(dim=1).values > 0).all()
    np.testing.assert_allclose(found, tensors[0]["weight"].grad, rtol=0, atol=1e-12)


def plain_pass(net, rows, generator, *, batch_size, learning_rate, alpha=0.0):
    """`train_pass` by torch's gradients, and its Adam for each array on its own."""
    tensors = tensors_of(net)
    parts, values = list(parts_of(net.layers)), flat(tensors)
    optimizer = torch.optim.Adam(parameters_of(tensors), learning_rate)
    for part, found in zip(parts, values, strict=True):
        for name, tensor in found.items():
            first, second = map(torch.tensor, getattr(part, name)[1:])
            step = torch.tensor(float(part.n_steps))
            state = {"step": step, "exp_avg": first, "exp_avg_sq": second}
            optimizer.state[tensor] = state
    total = mass = 0.0
    for index in torch.randperm(len(rows), generator=generator).split(batch_size):
        batch = rows.take(index)
        weight = float(batch.weight.sum())
        if not weight:
            continue
        outputs = forward(batch.X, tensors)
        if batch.y.ndim == 1:
            losses = torch.nn.functional.cross_entropy(outputs, batch.y, reduction="none")
        else:
            losses = (outputs - batch.y).square().sum(dim=1) / 2
        loss = losses @ batch.weight / weight
        squares = (
            found["weight"].square().sum() for found in values if "weight" in found
        )
        penalty = sum(squares) * alpha / 2
        optimizer.zero_grad(set_to_none=True)
        (loss + penalty).backward()
        for part, found in zip(parts, values, strict=True):
            if "weight" in found:
                found["weight"].grad *= torch.tensor(part.connections)
        optimizer.step()
        for found in values:
            if "slope" in found:
                found["slope"].data.clamp_(0, 2)
        total, mass = total + weight * float(loss.detach()), mass + weight
    found = iter(values)
    blocks = mapped(net.layers, lambda part: plain_part(part, next(found), optimizer))
    return Perceptron(blocks), total / mass


def plain_part(part, tensors, optimizer):
    """A layer or parallel block with the numbers that torch's Adam has left."""
    states = {name: optimizer.state[tensor] for name, tensor in tensors.items()}
    arrays = {
        name: np.stack([tensors[name].detach(), state["exp_avg"], state["exp_avg_sq"]])
        for name, state in states.items()
    }
    n_steps = {int(state["step"]) for state in states.values()} or {part.n_steps}
    return replace(part, **arrays, n_steps=n_steps.pop())


def assert_close(net, other, atol):
    pairs = zip(parts_of(net.layers), parts_of(other.layers), strict=True)
    for found, wanted in pairs:
        assert type(found) is type(wanted)
        assert found.n_steps == wanted.n_steps
        assert found.arrays.keys() == wanted.arrays.keys()
        for name, planes in wanted.arrays.items():
            assert found.arrays[name].dtype == planes.dtype
            np.testing.assert_allclose(found.arrays[name], planes, rtol=0, atol=atol)
        if isinstance(wanted, Layer):
            np.testing.assert_array_equal(found.mask, wanted.mask)


@pytest.mark.parametrize("n_targets", [None, N_OUTPUTS])
@pytest.mark.parametrize("name", NETS)
def test_passes_are_those_of_autograd(name, n_targets):
    rows, net = rows_of(n_targets=n_targets), net_of(*NETS[name])
    other = net
    for k in range(5):
        draws = [torch.Generator().manual_seed(k) for _ in range(2)]
        net, loss = train_pass(net, rows, draws[0], **PLAN, alpha=0.05)
        other, expected = plain_pass(other, rows, draws[1], **PLAN, alpha=0.05)
        assert loss == pytest.approx(expected, rel=0, abs=1e-9)
    assert net.is_sound()
    assert_close(net, other, 1e-9)


def test_layers_may_differ_in_the_steps_that_adam_has_taken():
    net = net_of((4, "s"), (4, "g"), (6, "m"))
    fresh = [replace(net.layers[1], n_steps=0), replace(net.layers[2], n_steps=3)]
    net = net.with_layers(1, 2, *fresh)
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    found, _ = train_pass(net, rows_of(), draws[0], **PLAN)
    wanted, _ = plain_pass(net, rows_of(), draws[1], **PLAN)
    assert [layer.n_steps for layer in found.layers] == [11, 4, 7, 11]
    assert_close(found, wanted, 1e-12)


def test_a_fresh_scale_takes_the_first_steps_of_adam():
    """Its branches were trained before, as those of a layer that was branched."""
    net = net_of(*NETS["added"])
    block = net.layers[1]
    fresh = replace(block, scale=block.scale * [[1], [0], [0]], n_steps=0)
    net = net.with_layers(1, 1, fresh)
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    found, _ = train_pass(net, rows_of(), draws[0], **PLAN)
    wanted, _ = plain_pass(net, rows_of(), draws[1], **PLAN)
    assert [part.n_steps for part in parts_of(found.layers)] == [11, 11, 11, 4, 11]
    assert_close(found, wanted, 1e-12)


def test_rows_of_no_weight_take_no_step():
    rows, net = rows_of(), net_of((4, ""))
    heavy = torch.arange(len(rows)) < 3  # most batches of 2 hold none of these
    rows = replace(rows, weight=rows.weight * heavy)
    plan = {**PLAN, "batch_size": 2}
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    found, loss = train_pass(net, rows, draws[0], **plan)
    wanted, expected = plain_pass(net, rows, draws[1], **plan)
    assert found.layers[0].n_steps - net.layers[0].n_steps in (2, 3)
    assert loss == pytest.approx(expected)
    assert_close(found, wanted, 1e-12)


@pytest.mark.parametrize("batch_size", [1, 49, 50, 51, 10**9])
def test_a_batch_may_have_any_size(batch_size):
    rows, net, plan = rows_of(), net_of((4, "")), {**PLAN, "batch_size": batch_size}
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    found, loss = train_pass(net, rows, draws[0], **plan)
    wanted, expected = plain_pass(net, rows, draws[1], **plan)
    assert loss == pytest.approx(expected)
    assert_close(found, wanted, 1e-12)


@pytest.mark.parametrize("name", ["all", "tree"])
def test_float32_stays_float32_and_is_near(name):
    rows = rows_of(dtype=np.float32)
    net = net_of(*NETS[name], dtype=np.float32)
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    found, loss = train_pass(net, rows, draws[0], **PLAN)
    wanted, expected = plain_pass(net, rows, draws[1], **PLAN)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert_close(found, wanted, 2e-4)


def test_slopes_stay_between_both_bounds_and_missing_weights_zero():
    net = net_of((4, "sm"), (4, "sgm"))
    plan = {"batch_size": 50, "learning_rate": 100.0}  # one step, far out of bounds
    net, _ = train_pass(net, rows_of(), torch.Generator(), **plan, alpha=0.1)
    slopes = np.concatenate([layer.slope[0] for layer in net.layers[:-1]])
    assert (slopes.min(), slopes.max()) == (0, 2)
    for layer in net.layers[:-1]:
        assert not layer.weight[:, ~layer.mask].any()


@pytest.mark.parametrize("name", ["all", "tree"])
def test_the_network_is_left_alone(name):
    net = net_of(*NETS[name])
    parts = list(parts_of(net.layers))
    copies = [{n: a.copy() for n, a in part.arrays.items()} for part in parts]
    after, _ = train_pass(net, rows_of(), torch.Generator().manual_seed(0), **PLAN)
    trained = parts_of(after.layers)
    for part, other, arrays in zip(parts, trained, copies, strict=True):
        for name, array in arrays.items():
            np.testing.assert_array_equal(getattr(part, name), array)
            assert not np.shares_memory(getattr(part, name), getattr(other, name))


@pytest.mark.parametrize("name", ["all", "tree"])
def test_the_penalty_sees_weights_only(name):
    net = net_of(*NETS[name])
    layers = [part for part in parts_of(net.layers) if isinstance(part, Layer)]
    squares = sum(np.square(layer.weight[0]).sum() for layer in layers)
    network = TrainablePerceptron(net)
    assert float(network.penalty.square().sum()) == pytest.approx(squares)
