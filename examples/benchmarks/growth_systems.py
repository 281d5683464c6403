"""Systems that grow inside a network, beside networks that do not, in one run.

    python examples/benchmarks/growth_systems.py --data DIR --output docs/tables
    python examples/benchmarks/growth_systems.py --quick

DIR holds a `load.py` with `load_images(name)`, which returns training and test rows, and
`load_table(name)`. Every system starts small and grows to the same size; two further
networks have that size, or the depth of the deep ones, from the start, and may spend as
many passes; the large one also runs for as many multiply-adds as the one that GradMax
grows. All stop by the same held-out rows. `--quick` takes two small sets of scikit-learn
and one seed; `--resume` runs what the JSON of an earlier run lacks.

Multiply-adds are those of training and of the steps that policies take, three times those
of a prediction for each row. Test rows are read once, for the table.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from scipy.stats import sem
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, QuantileTransformer

from skgrow import GrowingMLPClassifier, GrowingMLPRegressor, __version__

IMAGES, TABLES = ("mnist", "fashion_mnist"), ("adult", "california_housing")
NUMBERS = {"california_housing", "diabetes"}
SMALL, LARGE, DEPTH = 16, 64, 3  # units to start with and to end with, layers of the deep
WIDE = ("random", "zero", "net2wider", "gradmax", "firefly", "swe", "nest")
AS_CHEAP = "large from scratch, as many multiply-adds as grown"
DEEP = ("net2deeper", "morphism", "stacking", "autogrow")


def sets(folder, names, n_rows):
    """Name, training rows and test rows."""
    if folder is None:
        for name, load in (("digits", load_digits), ("diabetes", load_diabetes)):
            yield name, *load(return_X_y=True), None, None
        return
    sys.path.insert(0, str(folder))
    from load import load_images, load_table

    for name in names:
        X, y, X_test, y_test = (load_images if name in IMAGES else load_table)(name)
        if name in IMAGES:
            X, X_test = (
                np.asarray(a, dtype=np.float32).reshape(len(a), -1) for a in (X, X_test)
            )
        keep = np.random.RandomState(0).permutation(len(X))[:n_rows]
        y, y_test = (np.asarray(a) for a in (y, y_test))
        rows = X.iloc[keep] if isinstance(X, pd.DataFrame) else X[keep]
        yield name, rows, y[keep], X_test, y_test


def models(seed, n_iter, is_number):
    """Title and estimator of every line of a table."""
    growing = GrowingMLPRegressor if is_number else GrowingMLPClassifier
    common = {
        "max_iter": n_iter, "max_neurons": LARGE, "max_layers": DEPTH,
        "early_stopping": True, "n_iter_no_change": n_iter, "random_state": seed,
    }  # fmt: skip
    yield "small, never grows", growing((SMALL,), when="never", **common)
    yield "large from scratch", growing((LARGE,), when="never", **common)
    for how in WIDE:
        yield f"grown, {how}", growing((SMALL,), how=how, **common)
    yield (
        "grown, gradmax where svod",
        growing((SMALL,), how="gradmax", where="svod", **common),
    )
    common["max_neurons"] = None
    sizes = (LARGE,) * DEPTH
    yield "deep from scratch", growing(sizes, when="never", **common)
    for how in DEEP:
        start = sizes[:2] if how == "stacking" else sizes[:1]
        yield f"deepened, {how}", growing(start, how=how, **common)
    peer = MLPRegressor if is_number else MLPClassifier
    yield (
        "scikit-learn's MLP, large",
        prepared(
            peer(
                hidden_layer_sizes=(LARGE,),
                max_iter=n_iter,
                early_stopping=True,
                random_state=seed,
            )
        ),
    )


def prepared(model):
    """Text as indicators and columns by their quantiles, which ours do by themselves."""
    ready = make_column_transformer(
        (
            QuantileTransformer(output_distribution="normal"),
            make_column_selector(dtype_include=np.number),
        ),
        (
            OneHotEncoder(handle_unknown="ignore"),
            make_column_selector(dtype_exclude=np.number),
        ),
        sparse_threshold=0,
    )
    return make_pipeline(ready, model)


def run(name, X, y, X_test, y_test, seed, n_iter, done):
    """Title and figures of every model on one set that is not among the `done` ones."""
    if X_test is None:
        X, X_test, y, y_test = train_test_split(X, y, random_state=seed)
    is_number, scores = name in NUMBERS, dict(done)
    wanted = [
        *models(seed, n_iter, is_number),
        (AS_CHEAP, lambda: as_cheap(scores, seed, n_iter, is_number)),
    ]
    for title, model in wanted:
        if title in done:
            continue
        model = model() if title == AS_CHEAP else model
        frame = title.startswith("scikit") and not isinstance(X, pd.DataFrame)
        start = perf_counter()
        model.fit(pd.DataFrame(X) if frame else X, y)
        seconds = perf_counter() - start
        score = model.score(pd.DataFrame(X_test) if frame else X_test, y_test)
        key = "r2" if is_number else "accuracy"
        scores[title] = {key: score, **facts(model), "seconds": seconds}
        yield title, scores[title]


def as_cheap(scores, seed, n_iter, is_number):
    """The large network for as many multiply-adds as the grown one had."""
    costs = [
        scores[title]["billion_multiply_adds"]
        for title in ("grown, gradmax", "large from scratch")
    ]
    n_passes = max(1, round(n_iter * costs[0] / costs[1]))
    titled = dict(models(seed, n_passes, is_number))
    return titled["large from scratch"]


def facts(model):
    """Size and cost, where the model tells them."""
    if not hasattr(model, "growth_history_"):
        return {}
    events = [r["inactive"] for r in model.growth_history_ if r["n_new"] > 0]
    return {
        "parameters": model.n_parameters_,
        "billion_multiply_adds": model.n_training_multiply_adds_ / 1e9,
        "hidden_layers": len(model.hidden_layer_sizes_),
        "passes": model.n_iter_,
        "inactive_new_units": float(np.mean(events)) if events else 0.0,
    }


def markdown(results, seconds, n_rows, n_iter):
    """The tables as the documentation shows them."""
    lines = [
        "# Growth inside a network", "",
        f"Mean over the seeds, ± standard deviation. Test rows; at most {n_rows:,} "
        f"training rows and {n_iter} passes. Grown networks start with {SMALL} units and "
        f"end with at most {LARGE}; deepened ones start with one layer of {LARGE} "
        f"(stacking with two) and end with at most {DEPTH}. \"Ahead\" is the mean over "
        "the seeds of the score less that of the large network from scratch (deepened "
        "ones: of the deep one), ± its standard error.", "",
    ]  # fmt: skip
    for name, seeds in results.items():
        columns = list(seeds[0]["small, never grows"])
        heads = [columns[0], "ahead", *columns[1:]]
        lines += [f"## {name}", "", "| | " + " | ".join(heads).replace("_", " ") + " |"]
        lines += ["|---|" + "---:|" * len(heads)]
        for title in seeds[0]:
            cells = [
                _cell([s[title].get(column) for s in seeds if title in s])
                for column in columns
            ]
            cells.insert(1, _ahead(title, columns[0], seeds))
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [
        f"Seeds: {max(map(len, results.values()))}. Whole run {seconds / 60:.0f} minutes "
        f"on {torch.get_num_threads()} threads; skgrow {__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _ahead(title, score, seeds):
    """Mean and standard error of the difference to the network from scratch."""
    reference = "deep from scratch" if title.startswith("deep") else "large from scratch"
    both = [s for s in seeds if title in s and reference in s]
    if title == reference or not both:
        return ""
    difference = [s[title][score] - s[reference][score] for s in both]
    error = f" ± {sem(difference):.4f}" if len(both) > 1 else ""
    return f"{np.mean(difference):+.4f}{error}"


def _cell(values):
    if None in values:
        return ""
    mean = np.mean(values)
    if mean >= 1000 or all(value == int(value) for value in values):
        return f"{mean:,.0f}"
    digits = 4 if mean < 1 else 1
    spread = f" ± {np.std(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{spread}"


def main():
    """Run, print and, when asked, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with load.py")
    parser.add_argument("--quick", action="store_true", help="two small sets, one seed")
    parser.add_argument("--output", type=Path, help="folder for JSON and Markdown")
    parser.add_argument(
        "--resume", action="store_true", help="only what the JSON in --output lacks"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=20_000, help="training rows at most")
    parser.add_argument("--passes", type=int, default=40)
    parser.add_argument("--names", nargs="+", default=[*IMAGES, *TABLES])
    args = parser.parse_args()
    if not args.quick and args.data is None:
        parser.error("give --data DIR, or --quick for small sets")
    if args.resume and (args.quick or args.output is None):
        parser.error("--resume goes on with the JSON in --output, which it needs")
    warnings.simplefilter("ignore")  # of models that stop before they have settled
    before, results = earlier(args)
    start = perf_counter() - before
    data = list(sets(None if args.quick else args.data, args.names, args.rows))
    for seed in range(1 if args.quick else args.seeds):
        for name, *rows in data:
            seeds = results.setdefault(name, [])
            if seed == len(seeds):
                seeds.append({})
            n_iter = 10 if args.quick else args.passes
            for title, row in run(name, *rows, seed, n_iter, seeds[seed]):
                seeds[seed][title] = row
                told = ", ".join(f"{key} {value:.4g}" for key, value in row.items())
                print(f"{name}, seed {seed}, {title}: {told}", flush=True)
            write(results, perf_counter() - start, args)


def earlier(args):
    """Seconds and results of a run that was cut short, or lacks models of today."""
    if not args.resume:
        return 0, {}
    found = json.loads((args.output / "growth_systems.json").read_text())
    return found["seconds"], found["results"]


def write(results, seconds, args):
    """After every set: a run that is cut short leaves what is done."""
    if args.output is None:
        return
    args.output.mkdir(parents=True, exist_ok=True)
    stem = args.output / ("growth_systems_quick" if args.quick else "growth_systems")
    n_iter = 10 if args.quick else args.passes
    stem.with_suffix(".md").write_text(markdown(results, seconds, args.rows, n_iter))
    text = json.dumps({"seconds": seconds, "results": results}, indent=1)
    stem.with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
