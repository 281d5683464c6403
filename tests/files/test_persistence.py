"""Files: a model comes back to the bit, or there is one clear error.

`python tests/files/test_persistence.py` stores small models of this version, once a
release.
"""

import json
import os
import pickle
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

import skgrow
from skgrow import (
    ElectionTransferClassifier,
    GrowingMLPClassifier,
    GrowingMLPRegressor,
    GrowingNAMClassifier,
    GrowingNAMRegressor,
    ImagePatches,
    ModelFileError,
    ModelVersionWarning,
)
from skgrow.files import codec, persistence
from skgrow.policies import NeST

pytestmark = pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")

STORED = Path(__file__).parents[1] / "data"
PATCHES = ImagePatches((1, 8, 8), patch_size=3, stride=2)
X, Y = load_digits(return_X_y=True)


def digits_nam(**parameters):
    small = {
        "hidden_layer_sizes": (8, 8), "max_iter": 5, "random_state": 0,
        "round_size": 5, "n_verified": 200,
    }  # fmt: skip
    return GrowingNAMClassifier(PATCHES, **{**small, **parameters})


def grown():
    return digits_nam(matching="both").fit(X, Y).grow(X, Y, 8)


def narrow():
    weights = {0: 2.0, 1: 0.5}
    nam = digits_nam(class_weight=weights, random_state=np.random.RandomState(3))
    return nam.fit(X[Y < 2].astype(np.float32), Y[Y < 2])


def named():
    iris = load_iris(as_frame=True)
    names = np.array(["a flower", "b", "ç"], dtype=object)[iris.target]
    return GrowingNAMClassifier(max_iter=np.int64(5), n_branches=3, random_state=0).fit(
        iris.data, names
    )


def elected():
    source = digits_nam().fit(X[Y < 5], Y[Y < 5])
    vote = ElectionTransferClassifier(
        [FrozenEstimator(source), source.bank_], PATCHES, n_branches=20,
        n_verified=300, standardise="vote", random_state=0,
    )  # fmt: skip
    return vote.fit(X[Y >= 5], Y[Y >= 5].astype(str))


def read_out():
    source = digits_nam().fit(X[Y < 5], Y[Y < 5])
    vote = ElectionTransferClassifier(
        source, PATCHES, votes="fitted", n_branches=20, random_state=0
    )
    return vote.fit(X[Y >= 5], Y[Y >= 5])


MODELS = {make.__name__: make for make in (grown, narrow, named, elected, read_out)}
INPUTS = {"named": load_iris(as_frame=True).data}


@pytest.fixture(scope="module")
def models():
    return {name: make() for name, make in MODELS.items()}


@pytest.fixture
def file(models, tmp_path):
    """A file of a grown network."""
    path = tmp_path / "model.safetensors"
    skgrow.save(models["grown"], path)
    return path


# ------------------------------------------------------------------------- the way back


@pytest.mark.parametrize("name", MODELS)
def test_loaded_models_are_the_same_to_the_bit(models, name, tmp_path):
    model, rows = models[name], INPUTS.get(name, X)
    skgrow.save(model, tmp_path / "a")
    again = skgrow.load(tmp_path / "a")
    assert type(again) is type(model)
    for verb in ("predict", "predict_proba", "decision_function"):
        np.testing.assert_array_equal(
            getattr(again, verb)(rows), getattr(model, verb)(rows)
        )
    np.testing.assert_array_equal(again.classes_, model.classes_)
    for attribute in ("n_parameters_", "n_branches_", "growth_history_"):
        assert getattr(again, attribute) == getattr(model, attribute)
    assert again.grown_branches_ == model.grown_branches_
    assert os.listdir(tmp_path) == ["a"]
    skgrow.save(again, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_parameters_come_back(models, tmp_path):
    for name in ("grown", "narrow", "named"):
        skgrow.save(models[name], tmp_path / name)
        before = models[name].get_params()
        after = skgrow.load(tmp_path / name).get_params()
        state = before.pop("random_state"), after.pop("random_state")
        assert before == after
        assert type(before["max_iter"]) is type(after["max_iter"])
        if name == "narrow":
            np.testing.assert_array_equal(*(s.get_state()[1] for s in state))
        else:
            assert state[0] == state[1]


def test_growth_goes_on_where_it_was(models, file):
    again, before = skgrow.load(file), skgrow.load(file)
    again.grow(X, Y, 5)
    before.grow(X, Y, 5)
    np.testing.assert_array_equal(again.predict_proba(X), before.predict_proba(X))
    assert again.n_branches_ == models["grown"].n_branches_ + 5


def test_files_can_be_read_elsewhere(file, models):
    with safe_open(file, framework="numpy") as opened:
        header = json.loads(opened.metadata()["skgrow"])
        arrays = [opened.get_tensor(name) for name in opened.keys()]  # noqa: SIM118
    assert header["format"] == 1
    name, _, state = json.loads(header["parts"])[0]["estimator"]
    assert name == "GrowingNAMClassifier"
    assert state["n_features_in_"] == 64
    weights = models["grown"].bank_.weights[0]
    assert any(np.array_equal(weights, array) for array in arrays)


# ------------------------------------------------------------------------- bad files


def test_truncated_files(file):
    content = file.read_bytes()
    for n in [0, 1, 7, 8, 9, *np.linspace(10, len(content) - 1, 40).astype(int)]:
        file.write_bytes(content[:n])
        with pytest.raises(ModelFileError):
            skgrow.load(file)


def test_altered_files(file):
    content = bytearray(file.read_bytes())
    rng = np.random.RandomState(0)
    for place in rng.randint(len(content), size=150):
        altered = content.copy()
        altered[place] ^= 1 << rng.randint(8)
        file.write_bytes(altered)
        try:
            skgrow.load(file)
        except ModelFileError:
            continue
        # What the digest leaves out: spaces of the header, the version.
        assert place < content.index(b'"digest') + 8


def write_tree(path, tree, arrays=None, **header):
    arrays, trees = arrays or {}, json.dumps([tree])
    whole = {
        "format": 1, "version": "0", "digest": persistence._digest(arrays, trees),
        "parts": trees, **header,
    }  # fmt: skip
    save_file(arrays, path, {"skgrow": json.dumps(whole)})


def test_files_of_the_future(tmp_path):
    write_tree(tmp_path / "a", {}, {"0": np.ones(1)}, format=2, version="9.1")
    with pytest.raises(ModelFileError, match=r"format 2, written by skgrow '9\.1'"):
        skgrow.load(tmp_path / "a")


@pytest.mark.parametrize(
    "tree",
    [
        None, [], {}, {"a": 1, "b": 2}, {"_init__": []}, {"same": 0}, {"same": -1},
        {"record": ["Popen", {"args": "true"}]}, {"record": ["ImagePatches", {}]},
        {"record": ["ImagePatches", {"image_shape": [1, 8, 8]}]},
        {"estimator": ["GrowingNAMClassifier", {}, {}]},
        {"estimator": ["GrowingNAMClassifier", {"no": 1}, {}]},
        {"estimator": ["GrowingNAMClassifier", {}, {"__class__": 1}]},
        {"estimator": ["GrowingNAMClassifier", {}, {"n_features_in_": 10**12}]},
        {"array": "7"}, {"bits": ["7", [3]]}, {"bits": ["7", [2**62]]},
        {"scalar": ["O", 1]}, {"scalar": ["V99999999999", 1]},
        {"frozen": 3}, {"random_state": []}, {"float": "1"}, {"strings": ["S", ["a"]]},
    ],
)  # fmt: skip
def test_hostile_trees(tmp_path, tree):
    write_tree(tmp_path / "a", tree)
    with pytest.raises(ModelFileError):
        skgrow.load(tmp_path / "a")


@pytest.mark.parametrize("shape", [[2**62], [-8], [2, 5], [17], [1.5], "a", [2**40, 0]])
def test_bits_of_no_such_shape(shape):
    reader = codec.Reader({"0": np.zeros(1, dtype=np.uint8)}, codec.Budget(1))
    assert reader.node({"bits": ["0", [2, 4]]}).shape == (2, 4)
    with pytest.raises((ModelFileError, TypeError, ValueError)):
        reader.node({"bits": ["0", shape]})


def test_deep_trees(tmp_path):
    tree = "[" * 100_000 + "]" * 100_000
    header = {"format": 1, "parts": tree, "digest": persistence._digest({}, tree)}
    save_file({}, tmp_path / "a", {"skgrow": json.dumps(header)})
    with pytest.raises(ModelFileError):
        skgrow.load(tmp_path / "a")


def test_parts_that_do_not_fit_together(models, tmp_path):
    """A file with a right digest whose arrays make no network."""
    writer = codec.Writer()
    tree = writer.node(models["grown"])
    for name, array in writer.arrays.items():
        arrays = writer.arrays | {name: array[..., :0]}
        write_tree(tmp_path / "a", tree, arrays)
        try:
            again = skgrow.load(tmp_path / "a")
        except ModelFileError:
            continue
        assert again.predict_proba(X).shape == (len(X), 10)  # not used to predict


def test_a_table_that_is_none(models, tmp_path):
    """Columns that are read through something else than a table."""
    writer = codec.Writer()
    [kind, parameters, state] = writer.node(models["narrow"])["estimator"]
    for table in (3, {"same": 0}, {"record": ["Table", {"names": [], "categories": []}]}):
        tree = {"estimator": [kind, parameters, {**state, "_table": table}]}
        write_tree(tmp_path / "a", tree, writer.arrays)
        with pytest.raises(ModelFileError):
            skgrow.load(tmp_path / "a")


def test_other_files(tmp_path):
    save_file({"a": np.ones(3)}, tmp_path / "a")
    with pytest.raises(ModelFileError, match="is no file of skgrow"):
        skgrow.load(tmp_path / "a")
    with pytest.raises(FileNotFoundError):
        skgrow.load(tmp_path / "b")


# ------------------------------------------------------------------------- saving


def test_what_cannot_be_saved(models, tmp_path):
    with pytest.raises(NotFittedError):
        skgrow.save(digits_nam(), tmp_path / "a")
    with pytest.raises(TypeError, match="got Pipeline"):
        skgrow.save(make_pipeline(digits_nam()), tmp_path / "a")
    odd = digits_nam(class_weight={object(): 1.0})
    odd._state, odd.n_features_in_ = models["grown"]._state, 64
    with pytest.raises(TypeError, match="cannot hold a object"):
        skgrow.save(odd, tmp_path / "a")
    assert os.listdir(tmp_path) == []


def test_a_crash_leaves_the_old_file(models, file, monkeypatch):
    content = file.read_bytes()

    def crash(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="no space left"):
        skgrow.save(models["narrow"], file)
    assert file.read_bytes() == content
    assert os.listdir(file.parent) == [file.name]


# ------------------------------------------------------------ other ways, other versions


@pytest.mark.parametrize("name", MODELS)
def test_the_published_types_suffice_for_skops(models, name):
    model, rows = models[name], INPUTS.get(name, X)
    content = skops.io.dumps(model)
    again = skops.io.loads(content, trusted=skgrow.SKOPS_TYPES)
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))


def test_the_published_types_suffice_for_numbers_and_dense_networks():
    text = pd.DataFrame({"text": np.where(X[:, 2] > 2, "a", "b"), "x": X[:, 0]})
    settings = {"max_iter": 1, "random_state": 0}
    for model in (
        GrowingNAMRegressor(n_replicas=1, **settings),
        GrowingMLPRegressor((4,), how="autogrow", **settings),
        GrowingMLPClassifier((4,), how=NeST(), where=0, **settings),
    ):
        content = skops.io.dumps(model.fit(text, Y))
        again = skops.io.loads(content, trusted=skgrow.SKOPS_TYPES)
        np.testing.assert_array_equal(again.predict(text), model.predict(text))


def test_the_published_types_are_classes_of_models():
    assert all(name.startswith("skgrow.") for name in skgrow.SKOPS_TYPES)
    assert not [name for name in skgrow.SKOPS_TYPES if "Progress" in name]


@pytest.mark.parametrize("name", MODELS)
def test_skops_holds_a_model_once_its_types_are_trusted(models, name, tmp_path):
    model, rows = models[name], INPUTS.get(name, X)
    skops.io.dump(model, tmp_path / "a")
    untrusted = skops.io.get_untrusted_types(file=tmp_path / "a")
    assert untrusted
    assert all(found.startswith("skgrow.") for found in untrusted)
    with pytest.raises(TypeError, match="Untrusted types"):
        skops.io.load(tmp_path / "a")
    again = skops.io.load(tmp_path / "a", trusted=untrusted)
    np.testing.assert_array_equal(again.predict_proba(rows), model.predict_proba(rows))


def test_skops_holds_a_dense_network(tmp_path):
    mlp = GrowingMLPClassifier((6,), how="nest", max_iter=4, random_state=0).fit(X, Y)
    skops.io.dump(mlp, tmp_path / "a")
    untrusted = skops.io.get_untrusted_types(file=tmp_path / "a")
    again = skops.io.load(tmp_path / "a", trusted=untrusted)
    np.testing.assert_array_equal(again.predict_proba(X), mlp.predict_proba(X))


def test_pickles_of_another_version_say_so(models, monkeypatch):
    model = models["grown"]
    content = pickle.dumps(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = pickle.loads(content)
    assert vars(again).keys() == vars(model).keys()
    monkeypatch.setattr("skgrow.estimators.fitted.version", lambda name: "9.1")
    with pytest.warns(
        ModelVersionWarning, match=r"written by skgrow 0\.1\.0; this is 9\.1"
    ):
        pickle.loads(content)


def test_there_is_a_file_of_this_version():
    assert list(STORED.glob(f"*-{skgrow.__version__}.safetensors"))


@pytest.mark.parametrize("path", sorted(STORED.glob("*.safetensors")), ids=str)
def test_files_of_every_version_load(path):
    stored = json.loads(path.with_suffix(".json").read_text())
    model = skgrow.load(path)
    scores = model.decision_function(X[::200])
    np.testing.assert_allclose(scores, stored["scores"], rtol=1e-9, atol=1e-9)
    assert getattr(model, stored["size"] + "_") == stored["n"] > 0
    n_rounds = len(model.growth_history_)
    model.grow(X, Y % len(model.classes_), 2)
    assert len(model.growth_history_) > n_rounds


def store():
    """Write a small model of each kind, and some of its scores, where there is none."""
    narrow = ImagePatches((1, 8, 8), patch_size=3, stride=5)
    nam = GrowingNAMClassifier(
        narrow, hidden_layer_sizes=(3,), max_iter=5, round_size=5, random_state=0
    )
    nam.fit(X, Y).grow(X, Y, 5)
    vote = ElectionTransferClassifier(
        nam.bank_, narrow, n_branches=10, n_verified=50, random_state=0
    )
    # Missing connections, bent units and a residual block, all in one.
    mlp = GrowingMLPClassifier((5,), how="nest", max_iter=5, random_state=0).fit(X, Y)
    mlp.set_params(how="morphism").grow(X, Y, n_layers=1).partial_fit(X, Y)
    mlp.set_params(how="autogrow").grow(X, Y, n_layers=1).partial_fit(X, Y)
    mlp.set_params(how="swe", where=0)
    small = {"hidden_layer_sizes": (2,), "n_replicas": 2, "max_iter": 2}
    table = GrowingNAMClassifier(**small, random_state=0).fit(X, Y % 2)
    assert table._state.network.curves is not None
    assert table._state.network.surfaces is not None
    kinds = {
        "nam": (nam, "n_branches"),
        "vote": (vote.fit(X, Y), "n_branches"),
        "mlp": (mlp, "n_parameters"),
        "table": (table, "n_parameters"),
    }
    for name, (model, size) in kinds.items():
        path = STORED / f"{name}-{skgrow.__version__}.safetensors"
        if path.exists():
            continue
        skgrow.save(model, path)
        scores = model.decision_function(X[::200]).tolist()
        facts = {"size": size, "n": getattr(model, size + "_"), "scores": scores}
        path.with_suffix(".json").write_text(json.dumps(facts) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore", skgrow.GrowthStoppedWarning)
    store()
