"""Files that a machine thinks of: `skgrow.load` must give a model or ModelFileError.

    python tests/long/fuzz_load.py --seconds 600

Five kinds of attack on the files of small models: bytes changed anywhere; the header's
trees changed (values swapped, removed, copied, replaced), with a digest made to fit, as
a forger would; references changed (other parts stand in a place, arrays are shared, parts
stand there often); tensors of other sizes, dtypes and values; numbers that are NaN,
infinite, negative or large. A model that loads must predict, without an error, and of a
checkpoint the growth must go on, or say that it is another call's. Prints the counts,
and exits with 1 when anything else happened, a file took more than 5 seconds of the
processor, or memory rose by 300 MiB.
"""

import argparse
import copy
import json
import resource
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from kill_growth import rows_and_model
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes
from sklearn.base import is_classifier

import skgrow
from skgrow.files import persistence
from skgrow.policies import Top

ODD = [
    None, True, -1, 0, 3, 2**31, 2**63, 10**30, 1e300, "", "a", [], {}, [[]],
    {"same": 0}, {"same": 10**9}, {"float": "nan"}, {"tuple": []}, {"array": "0"},
    {"bits": ["0", [8]]}, {"bits": ["0", [2**40]]}, {"scalar": ["<f8", 1]},
    {"scalar": ["<U9", "x"]}, {"strings": ["O", ["a", 1]]}, {"random_state": []},
    {"record": ["PixelScaler", {}]}, {"frozen": {"same": 0}},
]  # fmt: skip
DTYPES = ["f2", "f4", "f8", "i1", "i4", "i8", "u1", "u4", "u8"]
NUMBERS = [np.nan, np.inf, -np.inf, -1, 0, 1, 100, 2**31, 2**62, 1e300, 2.0**-1074]
N_GROWN = 4


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


def change_references(parts, rng):
    """Other parts, arrays and often the same ones where a tree has its own."""
    parts = copy.deepcopy(parts)
    for _ in range(rng.randint(1, 4)):
        found = [
            (container, key)
            for container, key in places(parts, [])
            if isinstance(container[key], dict)
            and set(container[key]) & {"record", "array", "same", "bits", "strings"}
        ]
        container, key = found[rng.randint(len(found))]
        other, other_key = found[rng.randint(len(found))]
        how = rng.randint(4)
        if how == 0:
            container[key] = {"same": int(rng.randint(40))}
        elif how == 1:
            container[key] = copy.deepcopy(other[other_key])
        elif how == 2 and isinstance(container, list):
            many = int(rng.choice([2, 30, 1000]))
            container[key : key + 1] = [copy.deepcopy(container[key])] * many
        else:
            container[key] = {"strings": ["O", [copy.deepcopy(container[key])] * 100]}
    return parts


def change_arrays(arrays, rng):
    arrays = dict(arrays)
    name = list(arrays)[rng.randint(len(arrays))]
    array = arrays[name]
    how = rng.randint(5)
    if how == 0:
        arrays[name] = array[..., :-1]
    elif how == 1:
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(rng.choice(DTYPES))
    elif how == 2:
        arrays[name] = array.T.copy()
    elif how == 3:
        del arrays[name]
    else:
        arrays[name] = np.concatenate([array.ravel()] * 2)
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def change_numbers(arrays, rng):
    """Some numbers, or all, of one to three tensors."""
    arrays = {name: array.copy() for name, array in arrays.items()}
    for _ in range(rng.randint(1, 4)):
        name = list(arrays)[rng.randint(len(arrays))]
        if not arrays[name].size:
            continue
        with np.errstate(all="ignore"):
            if rng.rand() < 0.2:
                arrays[name] = arrays[name].astype(rng.choice(DTYPES))
        array = arrays[name].reshape(-1)
        some = slice(None) if rng.rand() < 0.2 else rng.randint(array.size, size=2)
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array[some] = np.array(NUMBERS[rng.randint(len(NUMBERS))]).astype(array.dtype)
    return arrays


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
    if kind == "reference":
        return forged(arrays, change_references(parts, rng))
    change = change_arrays if kind == "array" else change_numbers
    return forged(change(arrays, rng), parts)


def columns_of(model):
    """What a frame must hold to be read: names, and which columns are categories."""
    table = model._state.inputs.table
    names = getattr(model, "feature_names_in_", np.arange(model.n_features_in_))
    kinds = table and [values is None for values in table.categories]
    return names.tolist(), kinds


def outcome(path, rows, columns, call):
    """What loading and predicting came to, and going on where there is a checkpoint."""
    try:
        model = skgrow.load(path)
    except skgrow.ModelFileError:
        return "refused"
    if columns_of(model) != columns:
        return "other columns"
    if is_classifier(model):
        shape = (len(rows), len(model.classes_))
        assert model.predict_proba(rows).shape == shape, shape
    else:
        assert model.predict(rows).shape == (len(rows),)
    if call is None:
        return "predicts"
    X, y, start = call
    try:
        copy.deepcopy(start).grow(X, y, N_GROWN, checkpoint=path)
    except skgrow.ModelFileError:
        return "refused later"
    except ValueError as error:
        if "another call" not in str(error) and "no checkpoint" not in str(error):
            raise
        return "another call"
    return "grows"


def files_of_models(path):
    """Bytes of models of each kind, rows and columns to predict, the call of `grow`."""
    for kind in ("nam", "vote"):
        X, y, model = rows_and_model(kind)
        start = copy.deepcopy(model)
        model.grow(X, y, N_GROWN, checkpoint=path)
        yield path.read_bytes(), X[:5], columns_of(model), (X, y, start)
        path.unlink()
    few = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}
    morphed = skgrow.GrowingMLPClassifier(how="morphism", **few)
    blocks = skgrow.GrowingMLPRegressor(how="autogrow", where=Top(), **few)
    for model in (morphed, blocks):
        skgrow.save(model.fit(X, y), path)
        assert len(model.hidden_layer_sizes_) == 2
        yield path.read_bytes(), X[:5], columns_of(model), None
    yield from files_of_tables(path)


def files_of_tables(path):
    """With curves and surfaces, categories and gaps; one with a RandomState."""
    rng = np.random.RandomState(0)
    X = pd.DataFrame(rng.normal(size=(600, 3)), columns=["a", "b", "c"])
    X["d"], X.iloc[::7, 1] = rng.choice(["x", "y", "z"], size=600), np.nan
    y = np.sign(X["a"] * X["c"]) + (X["d"] == "x")
    few = {"hidden_layer_sizes": (3,), "max_iter": 3, "n_replicas": 2}
    table = skgrow.GrowingNAMClassifier(**few, random_state=0).fit(X, y.astype(str))
    number = skgrow.GrowingNAMRegressor(**few, random_state=np.random.RandomState(0))
    for model in (table, number.fit(X, y)):
        assert len(model._state.network.surfaces)
        skgrow.save(model, path)
        yield path.read_bytes(), X[:5], columns_of(model), None


def peak():
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", help="where to put the files that fail")
    options = parser.parse_args()
    rng = np.random.RandomState(options.seed)
    kinds = ["bytes", "tree", "reference", "array", "number"]
    counts, failures = Counter(), 0
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "a"
        files = list(files_of_models(path))
        start, memory = time.perf_counter(), peak()
        while time.perf_counter() - start < options.seconds:
            content, *rest = files[rng.randint(len(files))]
            kind = str(rng.choice(kinds))
            path.write_bytes(attack(content, kind, rng))
            before = time.process_time()
            try:
                counts[outcome(path, *rest)] += 1
                problem = None
            except Exception as error:  # the failures that are looked for
                problem = f"{type(error).__name__}: {str(error)[:200]}"
            seconds, risen = time.process_time() - before, peak() - memory
            if seconds > 5 or risen > 300:
                memory, problem = peak(), f"{seconds:.1f} s, {risen:.0f} MiB"
            if problem:
                failures += 1
                print(f"{kind}: {problem}")
                if options.keep:
                    shutil.copy(path, f"{options.keep}-{failures}")
    print(f"{options.seconds:.0f} seconds: {dict(counts)}, {failures} failures")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
