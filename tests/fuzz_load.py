"""Files that a machine thinks of: `skgrow.load` must give a model or ModelFileError.

    python tests/fuzz_load.py --seconds 600

Three kinds of attack on the files of small models: bytes changed anywhere; the header's
trees changed (values swapped, removed, copied, replaced), with a digest made to fit, as
a forger would; tensors of other sizes and types, likewise. A model that loads must
predict, or fail to, without an error of another kind than ValueError, TypeError,
IndexError and RuntimeError: its arrays may fit together and still mean nothing. Prints
the counts, and exits with 1 when anything else happened, a file took more than 5
seconds of the processor, or memory rose by 300 MiB.
"""

import argparse
import copy
import json
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from kill_growth import rows_and_model
from memory_cycles import resident
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes
from sklearn.base import is_classifier
from sklearn.datasets import load_digits

import skgrow
from skgrow import persistence
from skgrow.policies import Top

ODD = [
    None, True, -1, 0, 3, 2**31, 2**63, 10**30, 1e300, "", "a", [], {}, [[]],
    {"same": 0}, {"same": 10**9}, {"float": "nan"}, {"tuple": []}, {"array": "0"},
    {"bits": ["0", [8]]}, {"bits": ["0", [2**40]]}, {"scalar": ["<f8", 1]},
    {"scalar": ["<U9", "x"]}, {"strings": ["O", ["a", 1]]}, {"random_state": []},
    {"record": ["PixelScaler", {}]}, {"frozen": {"same": 0}},
]  # fmt: skip
AFTER = (ValueError, TypeError, IndexError, RuntimeError)


def places(tree, found):
    """All (container, key) of a tree."""
    keys = range(len(tree)) if isinstance(tree, list) else list(tree)
    for key in keys:
        found.append((tree, key))
        if isinstance(tree[key], (list, dict)):
            places(tree[key], found)
    return found


def change_tree(parts, rng):
    parts = copy.deepcopy(parts)
    for _ in range(rng.randint(1, 4)):
        found = places(parts, [])
        container, key = found[rng.randint(len(found))]
        other, other_key = found[rng.randint(len(found))]
        how = rng.randint(4)
        if how == 0:
            container[key] = copy.deepcopy(ODD[rng.randint(len(ODD))])
        elif how == 1:
            container[key] = copy.deepcopy(other[other_key])
        elif how == 2 and len(found) > 1:
            container.pop(key)
        elif isinstance(container[key], (int, float)):
            container[key] = container[key] * int(rng.choice([-1, 0, 2, 1000]))
        if not parts:
            break
    return parts


def change_arrays(arrays, rng):
    arrays = dict(arrays)
    name = list(arrays)[rng.randint(len(arrays))]
    array = arrays[name]
    how = rng.randint(6)
    if how == 0:
        arrays[name] = array[..., :-1]
    elif how == 1:
        arrays[name] = array.astype(rng.choice(["f4", "f8", "i8", "u1"]))
    elif how == 2:
        arrays[name] = array.T.copy()
    elif how == 3:
        del arrays[name]
    elif how == 4:
        arrays[name] = np.full_like(array, rng.choice([-1, 0, 1, 100]))
    else:
        arrays[name] = np.concatenate([array.ravel()] * 2)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def forged(arrays, parts):
    trees = json.dumps(parts)
    digest = persistence._digest(arrays, trees)
    header = {"format": 1, "version": "0", "digest": digest, "parts": trees}
    return to_bytes(arrays, {"skgrow": json.dumps(header)})


def attack(content, kind, rng):
    """The bytes of a changed file."""
    if kind == "bytes":
        changed = bytearray(content)
        for _ in range(rng.randint(1, 9)):
            changed[rng.randint(len(changed))] = rng.randint(256)
        return bytes(
            changed[: rng.randint(len(changed))] if rng.rand() < 0.2 else changed
        )
    start = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + start])["__metadata__"]
    parts = json.loads(json.loads(metadata["skgrow"])["parts"])
    arrays = from_bytes(content)
    if kind == "tree":
        return forged(arrays, change_tree(parts, rng))
    return forged(change_arrays(arrays, rng), parts)


def outcome(path, X):
    """What loading and predicting came to."""
    try:
        model = skgrow.load(path)
    except skgrow.ModelFileError:
        return "refused"
    try:
        if is_classifier(model):
            assert model.predict_proba(X).shape == (len(X), len(model.classes_))
        else:
            assert model.predict(X).shape == (len(X),)
    except AFTER:
        return "cannot predict"
    return "predicts"


def files_of_models(path):
    """The bytes of a checkpoint of each kind of additive network, and of dense ones."""
    for kind in ("nam", "vote"):
        X, y, model = rows_and_model(kind)
        model.grow(X, y, 4, checkpoint=path)
        yield path.read_bytes()
        path.unlink()
    few = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}
    morphed = skgrow.GrowingMLPClassifier(how="morphism", **few)
    blocks = skgrow.GrowingMLPRegressor(how="autogrow", where=Top(), **few)
    for model in (morphed, blocks):
        skgrow.save(model.fit(X, y), path)
        assert len(model.hidden_layer_sizes_) == 2
        yield path.read_bytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.RandomState(options.seed)
    counts = {"refused": 0, "cannot predict": 0, "predicts": 0, "failures": 0}
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "a"
        files, X = list(files_of_models(path)), load_digits().data
        start, memory = time.perf_counter(), resident()
        while time.perf_counter() - start < options.seconds:
            content = files[rng.randint(len(files))]
            path.write_bytes(attack(content, rng.choice(["bytes", "tree", "array"]), rng))
            before = time.process_time()
            try:
                counts[outcome(path, X[:5])] += 1
            except Exception as error:  # the failures that are looked for
                counts["failures"] += 1
                print(f"{type(error).__name__}: {str(error)[:200]}")
            if time.process_time() - before > 5 or resident() - memory > 300:
                counts["failures"] += 1
                memory = resident()
                print("too slow, or too much memory")
    print(f"{options.seconds:.0f} seconds: {counts}")
    return int(counts["failures"] > 0)


if __name__ == "__main__":
    sys.exit(main())
