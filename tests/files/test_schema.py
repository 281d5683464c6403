"""Forged files: each stored array has one dtype, one shape and a range, or is refused.

The digests of these files fit, as a forger would make them.
"""

import copy
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pandas as pd
import pytest
from fuzz_load import forged
from sklearn.base import BaseEstimator

import skgrow
from skgrow import (
    ElectionTransferClassifier,
    GrowingMLPClassifier,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    ModelFileError,
)
from skgrow.files import codec, schema
from skgrow.files.persistence import digest
from skgrow.inputs.tables import Table
from skgrow.networks.bank import BranchBank
from skgrow.networks.grown import GrownBranches
from skgrow.policies import GradMax, branch_layer

# Labels, and numbers that nothing is found by; they may be any. A bank that votes has the
# columns of its source, but is used on others.
FREE = {"classes_", "Candidates.region", "Electorate.cohort", "_source_classes"}
OTHERS = {"BranchBank.regions"}


def table_rows():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(600, 3))
    return X, np.sign(X[:, 0] * X[:, 2])


def curved():
    """A model with curves, surfaces, branches and a random state."""
    X, y = table_rows()
    few = {"hidden_layer_sizes": (3,), "max_iter": 2, "n_replicas": 2}
    state = np.random.RandomState(0)
    return GrowingNAMRegressor(**few, random_state=state).fit(X, y)


def dense():
    X, y = table_rows()
    return GrowingMLPClassifier((3,), how="nest", max_iter=3, random_state=0).fit(X, y)


class Branched(GradMax):
    """Sums of two branches, one of which has its units in two groups."""

    def begin(self, net, random_state):
        net = branch_layer(net, 0)
        return branch_layer(net, (0, 1, 0), merge="concat")


def branched():
    X, y = table_rows()
    model = GrowingMLPClassifier((4, 3), how=Branched(), max_iter=3, random_state=0)
    return model.fit(X, y).set_params(how="gradmax")


def framed():
    """A model of a frame with categories."""
    X, y = table_rows()
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["d"] = np.where(y > 0, "x", "z")
    return GrowingNAMClassifier(max_iter=2, random_state=0).fit(frame, y)


def read_out(n_rows):
    """Fitted votes, whose sums are of rows or of products."""
    X, y = table_rows()
    source = GrowingNAMClassifier([[0, 1]], hidden_layer_sizes=(3,), max_iter=2)
    source.set_params(random_state=0).fit(X, y)
    vote = ElectionTransferClassifier(
        source, votes="fitted", n_branches=10, random_state=0
    )
    return vote.fit(X[:n_rows], y[:n_rows])


def stored(name):
    from test_persistence import STORED

    return skgrow.load(STORED / f"{name}-0.1.0.safetensors")


MAKE = {
    "curved": curved, "dense": dense, "branched": branched, "framed": framed,
    "nam": lambda: stored("nam"), "vote": lambda: stored("vote"),
    "few rows": lambda: read_out(8), "rows": lambda: read_out(600),
}  # fmt: skip


@pytest.fixture(scope="module", params=MAKE)
def model(request):
    return MAKE[request.param]()


@pytest.fixture(scope="module")
def table():
    return curved()


def parts_of(model):
    writer = codec.Writer()
    return [writer.node(model)], writer.arrays


def places_of(tree, path=""):
    """The field that each array of a tree stands in, by the name of the array."""
    if isinstance(tree, list):
        found = [places_of(item, path) for item in tree]
    elif isinstance(tree, dict) and "record" in tree:
        name, parts = tree["record"]
        found = [places_of(part, f"{name}.{key}") for key, part in parts.items()]
    elif isinstance(tree, dict) and "estimator" in tree:
        _, params, state = tree["estimator"]
        found = [places_of(part, key) for key, part in (params | state).items()]
    elif isinstance(tree, dict) and set(tree) & {"array", "bits"}:
        name = tree.get("array") or tree["bits"][0]
        return {name: path}
    else:
        inside = tree.values() if isinstance(tree, dict) else ()
        found = [places_of(part, path) for part in inside]
    return {name: place for part in found for name, place in part.items()}


def refused(path, arrays, parts, match=None):
    path.write_bytes(forged(arrays, parts))
    with pytest.raises(ModelFileError, match=match):
        skgrow.load(path)


# -------------------------------------------------------------------- what is declared


def test_every_field_of_every_class_is_declared(model):
    for name, cls in codec.RECORDS.items():
        assert is_dataclass(cls)
        if not issubclass(cls, BaseEstimator):  # policies check themselves
            assert set(schema.FIELDS[name]) == {field.name for field in fields(cls)}
    assert set(codec.packed(model)) <= set(schema.FITTED)


def test_no_field_of_the_fitted_state_is_lost(model, tmp_path):
    known = {"_state", "n_features_in_", "feature_names_in_", *model.get_params()}
    assert set(vars(model)) <= known
    skgrow.save(model, tmp_path / "a")
    again = skgrow.load(tmp_path / "a")
    for field in fields(model._state):
        value, found = (getattr(one._state, field.name) for one in (model, again))
        assert repr(value) == repr(found), field.name
    assert digest(codec.packed(model)) == digest(codec.packed(again))


@pytest.mark.slow
def test_no_array_is_of_another_dtype(model, tmp_path):
    """Unsigned starts of curves were indices beyond a sparse matrix, and a crash."""
    parts, arrays = parts_of(model)
    places = places_of(parts)
    assert set(places) == set(arrays)
    for name, array in arrays.items():
        if places[name] == "classes_":
            continue
        for dtype in {"f8", "f2", "i8", "i4", "u8", "u4", "u1"} - {array.dtype.str[1:]}:
            with np.errstate(all="ignore"):
                other = arrays | {name: array.astype(dtype)}
            refused(tmp_path / "a", other, parts, match="no usable model")


def test_no_number_is_missing_or_infinite(model, tmp_path):
    parts, arrays = parts_of(model)
    for name, place in places_of(parts).items():
        if arrays[name].dtype.kind != "f" or not arrays[name].size:
            continue
        for number in (np.nan, np.inf, -np.inf):
            other = arrays[name].copy()
            other.flat[0] = number
            path = tmp_path / "a"
            if np.isnan(number) and place == "Curves.error":
                continue
            if np.isinf(number) and place in {
                "Candidates.lower", "Candidates.upper", "Candidates.gain",
            }:  # fmt: skip
                continue
            refused(path, arrays | {name: other}, parts, match="no usable model")


def test_no_index_leads_outside(model, tmp_path):
    parts, arrays = parts_of(model)
    free = FREE | (OTHERS if isinstance(model, ElectionTransferClassifier) else set())
    for name, place in places_of(parts).items():
        if arrays[name].dtype != np.int64 or not arrays[name].size or place in free:
            continue
        for number in (-1, -(2**63), 10**6, 2**62, 2**63 - 1):
            for at in (0, -1):
                other = arrays[name].copy()
                other.flat[at] = number
                refused(tmp_path / "a", arrays | {name: other}, parts)


@pytest.mark.parametrize("dtype", ["uint64", "uint32", "int64"])
def test_curves_that_begin_beyond_their_knots(table, tmp_path, dtype):
    parts, arrays = parts_of(table)
    [name] = [n for n, place in places_of(parts).items() if place == "Curves.start"]
    start = arrays[name].astype(dtype)
    start[1] = np.iinfo(np.int32).max - 7  # the differences of unsigned ones are positive
    refused(tmp_path / "a", arrays | {name: start}, parts)


def test_random_states_have_a_place_in_their_numbers(table, tmp_path):
    """numpy takes any place, and draws from the memory there."""
    parts, arrays = parts_of(table)
    state = parts[0]["estimator"][1]["random_state"]["random_state"]["tuple"]
    assert state[0] == "MT19937"
    for place in (-1, 625, 10**6, 1.5, None):
        state[2] = place
        refused(tmp_path / "a", arrays, parts, match="position")


@pytest.mark.parametrize("device", [3, None, [], {"dict": []}, "no", "cuda:x", 1.5])
def test_devices_that_are_none(table, tmp_path, device):
    parts, arrays = parts_of(table)
    parts[0]["estimator"][1]["device"] = device
    refused(tmp_path / "a", arrays, parts, match="is no device")


def test_a_device_of_another_machine_is_no_fault_of_the_file(table, tmp_path):
    parts, arrays = parts_of(table)
    parts[0]["estimator"][1]["device"] = "cuda:97"
    (tmp_path / "a").write_bytes(forged(arrays, parts))
    again = skgrow.load(tmp_path / "a")
    with pytest.raises(ValueError, match="cannot be used here"):
        again.predict(table_rows()[0])


@pytest.mark.parametrize("name", sorted(schema.FITTED))
def test_fitted_state_of_another_kind(model, tmp_path, name):
    parts, arrays = parts_of(model)
    state = parts[0]["estimator"][2]
    for other in (3.5, "a", {"tuple": [None]}, {"dict": []}, {"record": ["Never", {}]}):
        parts[0]["estimator"][2] = {**state, name: other}
        refused(tmp_path / "a", arrays, parts)


def test_fitted_state_that_is_missing(model, tmp_path):
    parts, arrays = parts_of(model)
    state = parts[0]["estimator"][2]
    optional = {"_clusters", "_table", "_n_replicas", "feature_names_in_"}
    if isinstance(model, GrowingMLPClassifier):
        optional.add("n_training_multiply_adds_")
    for name in set(state) - optional:
        parts[0]["estimator"][2] = {k: v for k, v in state.items() if k != name}
        refused(tmp_path / "a", arrays, parts)


# -------------------------------------------------------------------- parallel blocks


def blocks_of(parts):
    """The blocks of a dense network, in the tree of its file."""
    return parts[0]["estimator"][2]["_network"]["record"][1]["layers"]["tuple"]


def no_branches(blocks, fields, branches):
    branches[:] = []


def empty_branch(blocks, fields, branches):
    branches[0]["tuple"] = []


def one_branch_less(blocks, fields, branches):
    del branches[0]  # and as many scales as before


def other_widths(blocks, fields, branches):
    del branches[1]["tuple"][0]["record"][1]["branches"]["tuple"][0]


def no_tuple(blocks, fields, branches):
    fields["branches"] = branches


def no_block(blocks, fields, branches):
    branches[0]["tuple"][0] = {"record": ["Never", {}]}


def a_network_inside(blocks, fields, branches):
    inside = {"record": ["Perceptron", {"layers": {"tuple": [blocks[-1]]}}]}
    branches[0]["tuple"][0] = inside


def two_outputs_beside_each_other(blocks, fields, branches):
    fields["scale"] = None  # the reader reads one of the sums


def a_readout_of_branches(blocks, fields, branches):
    inside = {"tuple": [{"tuple": [blocks[-1]]}]}
    blocks[-1] = {"record": ["Parallel", {"branches": inside}]}


def steps_below_zero(blocks, fields, branches):
    fields["n_steps"] = -1


FORGERIES = [
    no_branches, empty_branch, one_branch_less, other_widths, no_tuple, no_block,
    a_network_inside, two_outputs_beside_each_other, a_readout_of_branches,
    steps_below_zero,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_parallel_blocks_that_do_not_fit(forge, tmp_path):
    parts, arrays = parts_of(branched())
    blocks = blocks_of(parts)
    name, fields = blocks[0]["record"]
    assert name == "Parallel"
    forge(blocks, fields, fields["branches"]["tuple"])
    refused(tmp_path / "a", arrays, parts, match="no usable model")


def deeper(blocks, n_levels):
    for _ in range(n_levels):
        inside = {"tuple": [{"tuple": [blocks[0]]}]}
        blocks[0] = {"record": ["Parallel", {"branches": inside}]}


def test_a_tree_of_blocks_beyond_pythons_stack(tmp_path):
    parts, arrays = parts_of(branched())
    deeper(blocks_of(parts), 100)
    refused(tmp_path / "a", arrays, parts, match="no usable model.*recursion")


def test_a_tree_of_some_levels_is_the_same_network(tmp_path):
    model = branched()
    parts, arrays = parts_of(model)
    deeper(blocks_of(parts), 20)
    (tmp_path / "a").write_bytes(forged(arrays, parts))
    again, X = skgrow.load(tmp_path / "a"), table_rows()[0]
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))


# ---------------------------------------------------------------------------- tables


def test_categories_that_cannot_be_told_apart(tmp_path):
    parts, arrays = parts_of(framed())
    categories = parts[0]["estimator"][2]["_table"]["record"][1]["categories"]["tuple"]
    assert categories[3]["strings"][0] == "O"
    for entries in (["x", "x"], ["x", None], [[], []], ["x", {"dict": []}]):
        categories[3] = {"strings": ["O", entries]}
        refused(tmp_path / "a", arrays, parts)
    for other in (3, "xz", {"array": "0"}, {"strings": ["U", ["x", "z"]]}):
        categories[3] = other
        refused(tmp_path / "a", arrays, parts)


def test_the_table_is_tried(tmp_path, monkeypatch):
    skgrow.save(framed(), tmp_path / "a")

    def fail(self, X):
        assert X.shape == (1, 4)
        raise TypeError("no such column")

    monkeypatch.setattr(Table, "transform", fail)
    with pytest.raises(ModelFileError, match="no such column"):
        skgrow.load(tmp_path / "a")


def test_tuples_among_objects_come_back():
    values = np.empty(3, dtype=object)
    for i, value in enumerate([("a", 1), ("b", 2), ("c", 3)]):
        values[i] = value
    writer = codec.Writer()
    tree = json.loads(json.dumps(writer.node(Table(("a",), (values,)))))
    again = codec.Reader(writer.arrays, codec.Budget(0)).node(tree)
    assert again.categories[0].tolist() == values.tolist()
    assert again.categories[0].shape == (3,)


def test_what_could_not_be_loaded_is_not_saved(table, tmp_path):
    broken = copy.deepcopy(table)
    curves = broken._state.network.curves
    values = np.full_like(curves.values, np.nan)
    broken._state = replace(
        broken._state,
        network=replace(broken._state.network, curves=replace(curves, values=values)),
    )
    with pytest.raises(ValueError, match=r"cannot be saved.*Curves\.values holds NaN"):
        skgrow.save(broken, tmp_path / "a")
    assert os.listdir(tmp_path) == []


# -------------------------------------------------------------------- the file itself


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F4", "BF16", "BOOL", "C64"])
def test_tensors_that_numpy_lacks(tmp_path, dtype):
    bits = {"F4": 4, "BF16": 16, "C64": 64}.get(dtype, 8)
    tensor = {"dtype": dtype, "shape": [2], "data_offsets": [0, bits // 4]}
    header = json.dumps({"__metadata__": {"skgrow": "{}"}, "0": tensor}).encode()
    content = len(header).to_bytes(8, "little") + header + bytes(bits // 4)
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ModelFileError, match="is no file of skgrow"):
        skgrow.load(tmp_path / "a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a")

    def give_up(*args):
        raise TimeoutError("load waits for a pipe")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(10)
    try:
        with pytest.raises(ModelFileError, match="a pipe"):
            skgrow.load(tmp_path / "a")
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


# ----------------------------------------------------------------------------- memory


def many_strings():
    """Arrays of arrays, each level twice the one below."""
    two = [[{"same": i}, {"same": i}] for i in range(27)]
    return [{"strings": ["O", entries]} for entries in (["a"], *two)]


def repeated(tree, n):
    return [copy.deepcopy(tree) for _ in range(n)]


EXPANSIONS = {
    "levels": lambda: (many_strings(), {}),
    "width": lambda: ([{"strings": ["U", ["a" * 100_000, *[""] * 5000]]}], {}),
    "bits": lambda: (
        repeated({"bits": ["0", [800_000]]}, 2500), {"0": np.zeros(100_000, np.uint8)},
    ),
}  # fmt: skip


def number_of(tree, wanted):
    """The number that `same` knows a part by."""
    done = []

    def visit(node):
        for part in node.values() if isinstance(node, dict) else node:
            if isinstance(part, (dict, list)):
                visit(part)
        if isinstance(node, dict) and len(node) == 1 and set(node) & codec.SHARED:
            done.append(node)

    visit(tree)
    return next(i for i, node in enumerate(done) if node is wanted)


def layers_often():
    """A dense network whose second layer stands there 2,000 times."""
    X = np.random.RandomState(0).normal(size=(80, 40))
    mlp = GrowingMLPClassifier((40, 40), max_iter=1, when="never", random_state=0)
    parts, arrays = parts_of(mlp.fit(X, np.arange(80) % 40))
    layers = parts[0]["estimator"][2]["_network"]["record"][1]["layers"]["tuple"]
    layers[2:2] = [{"same": number_of(parts, layers[1])}] * 2000
    return parts, arrays


def branch_often(n_units, n_uses):
    """A network of one large branch, which is used often, each time another way."""
    nam = stored("nam")
    network = nam._state.network
    draw = np.random.RandomState(0).normal
    weights = draw(size=(1, 9, n_units)), draw(size=(1, n_units, 10))
    bank = BranchBank(network.bank.regions[:1], weights, (draw(size=(1, n_units)),))
    uses = network.grown.uses.take(np.zeros(n_uses, dtype=int))
    shift = draw(size=uses.shift.shape)
    uses = replace(uses, shift=shift, branch=np.zeros(n_uses, dtype=int))
    ones = np.ones(n_uses)
    grown = GrownBranches(bank, uses, *[ones] * 6)
    nam._state = replace(nam._state, network=replace(network, bank=bank, grown=grown))
    nam._state = replace(nam._state, clusters=None)
    return parts_of(nam)


LOAD = """
import resource, sys
import skgrow
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
skgrow.load(sys.argv[1])
before = peak()
for path in sys.argv[2:]:
    try:
        skgrow.load(path)
        print("loads", end=" ")
    except skgrow.ModelFileError:
        print("refused", end=" ")
print(peak() - before)
"""


@pytest.mark.slow
def test_small_files_take_little_memory(tmp_path):
    """Each of them took 0.3 to 2 GiB, by what stands in several places."""
    files = [make() for make in EXPANSIONS.values()] + [layers_often()]
    files.append(branch_often(10_000, 3000))
    skgrow.save(stored("nam"), tmp_path / "good")
    for i, (parts, arrays) in enumerate(files):
        (tmp_path / str(i)).write_bytes(forged(arrays, parts))
        assert (tmp_path / str(i)).stat().st_size < 4e6
    paths = [str(tmp_path / name) for name in ("good", *map(str, range(len(files))))]
    command = [sys.executable, "-c", LOAD, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    *outcomes, risen = done.stdout.split()
    assert outcomes == ["refused"] * (len(files) - 1) + ["loads"]
    assert float(risen) < 200


def test_time_is_not_doubled_either(tmp_path):
    """A key whose hash is made of two others, and so on: of 2**23 in all."""
    two = [[{"same": i}, {"same": i}] for i in range(23)]
    levels = [
        {"record": ["Perceptron", {"layers": {"tuple": shared}}]} for shared in ([], *two)
    ]
    before = time.process_time()
    refused(tmp_path / "a", {}, [*levels, {"dict": [[{"same": 23}, 1]]}])
    assert time.process_time() - before < 1


def test_references_are_numbers_of_parts_before():
    reader = codec.Reader({}, codec.Budget(0))
    part = reader.node({"strings": ["U", ["a"]]})
    assert reader.node({"same": 0}) is part
    for number in (-1, False, 0.0, "0", None):  # numpy and lists would take some of them
        with pytest.raises(ModelFileError, match="no value of number"):
            reader.node({"same": number})
    with pytest.raises(IndexError):
        reader.node({"same": 1})
