"""Branches that read many places of an image: base networks and growth, beside one place.

    python examples/benchmarks/windows.py --data DIR --output docs/tables
    python examples/benchmarks/windows.py --data DIR --output docs/tables --resume
    python examples/benchmarks/windows.py --quick

DIR holds a `load.py`, see `paper_tables.py`; `--quick` takes scikit-learn's digits. A row
of the table is a network; `--resume` fits those rows alone that an earlier output lacks.

A window is a square of places of a patch, whose outputs are averaged; `stride` is the
step between the places that are read inside it, which sets the cost of a prediction.
"places" are those a branch reads. Learning rate and passes of the networks with windows
were chosen on 5,000 of the training rows; test rows are read once, for the table.
"""

from __future__ import annotations

import argparse
import json
import platform
import warnings
from copy import deepcopy
from pathlib import Path
from time import perf_counter

import torch
from paper_tables import cifar10, digits, report
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from skgrow import GrowingNAMClassifier, GrowthStoppedWarning, ImagePatches, __version__

COLUMNS = {
    "accuracy": "test accuracy", "loss": "test loss (nats)", "n_parameters": "parameters",
    "n_branches_grown": "uses grown", "n_places": "places",
    "n_multiply_adds": "multiply-adds a row", "seconds": "seconds",
    "predict_seconds": "to predict",
}  # fmt: skip


def patches(task, is_quick, stride=None):
    """Patches of one place (stride None), or windows of which every so many is read."""
    if stride is None:
        return ImagePatches(task.image_shape, 3, task.base_stride)
    window = 3 if is_quick else 6
    return ImagePatches(task.image_shape, 3, stride, window, "mean")


def networks(task, is_quick):
    """Unfitted base networks by name, the paper's first."""
    steady = {"max_iter": 20 if is_quick else 25, "learning_rate_init": 0.02}
    found = {"one place": (None, {"max_iter": task.max_iter})}
    for stride in (1, 2) if is_quick else (3, 2):
        found[f"windows, stride {stride}"] = (stride, steady)
    return {
        name: GrowingNAMClassifier(patches(task, is_quick, stride), **options)
        for name, (stride, options) in found.items()
    }


def growths(task, is_quick):
    """What is grown, by name: the base, and the regions of its uses."""
    windows = patches(task, is_quick, 1 if is_quick else 2)
    return {
        "one place, grown": ("one place", None),
        "one place, grown by windows": ("one place", windows),
        "windows, grown": (f"windows, stride {windows.stride}", None),
    }


def linear(task):
    """Logistic regression on the pixels."""
    start = perf_counter()
    model = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=100))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on pixels it need not converge
        model.fit(task.X_train, task.y_train)
    proba = model.predict_proba(task.X_test)
    weights = model[-1].coef_.size
    return {
        "network": "logistic regression",
        "accuracy": accuracy_score(task.y_test, proba.argmax(axis=1)),
        "loss": log_loss(task.y_test, proba),
        "n_parameters": weights + proba.shape[1],
        "n_multiply_adds": weights,
        "seconds": perf_counter() - start,
    }


def run(task, seed, is_quick, seconds, known):
    """The rows that are not known yet, one by one."""
    bases = networks(task, is_quick)
    wanted = [name for name in growths(task, is_quick) if name not in known]
    needed = {growths(task, is_quick)[name][0] for name in wanted}
    for name, model in bases.items():
        if name in known and name not in needed:
            continue
        model.set_params(early_stopping=True, random_state=seed, **task.options)
        start = perf_counter()
        model.fit(task.X_train, task.y_train)
        places = {"n_places": int(model.bank_.window.n_places)}
        yield report(task, name, model, perf_counter() - start) | places
    for name in wanted:
        base, regions = growths(task, is_quick)[name]
        yield grown(task, name, bases[base], regions, seconds)
    if "logistic regression" not in known:
        yield linear(task)


def grown(task, name, base, regions, seconds):
    """A copy of a base, grown to the paper's number of parameters or within the time."""
    model = deepcopy(base).set_params(max_time=seconds, refit=True, verbose=1)
    if regions is not None:
        model = with_growth_regions(model, task, regions)
    start = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrowthStoppedWarning)
        model.grow(task.X_train, task.y_train, n_branches=task.n_branches)
    row = report(task, name, model, perf_counter() - start)
    places = max((r.get("n_places", 1) for r in model.grown_branches_), default=0)
    return row | {"n_places": places}


def with_growth_regions(model, task, regions):
    """The same base with other regions to grow on, which `fit` resolves."""
    model = deepcopy(model).set_params(grow_regions=regions)
    return model.fit(task.X_train, task.y_train)


def markdown(task, rows, seconds):
    """The table as the documentation shows it."""
    lines = [f"# Many places on {task.name}", ""]
    lines += ["| network | " + " | ".join(COLUMNS.values()) + " |"]
    lines += ["|---|" + "---:|" * len(COLUMNS)]
    for row in rows.values():
        cells = " | ".join(_cell(row.get(name)) for name in COLUMNS)
        lines.append(f"| {row['network']} | {cells} |")
    return "\n".join(
        [
            *lines, "",
            f"Whole run {seconds / 60:.1f} minutes on {torch.get_num_threads()} threads. "
            "Growth may use as many trained parameters as the paper's. skgrow "
            f"{__version__}, torch {torch.__version__}, Python "
            f"{platform.python_version()}.", "",
        ]
    )  # fmt: skip


def _cell(value):
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def main():
    """Run, print and, when asked, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with load.py")
    parser.add_argument("--quick", action="store_true", help="digits, in seconds")
    parser.add_argument("--output", type=Path, help="folder for JSON and Markdown")
    parser.add_argument("--resume", action="store_true", help="rows that are missing")
    parser.add_argument("--seconds", type=float, default=300, help="of each growth")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not args.quick and args.data is None:
        parser.error("give --data DIR, or --quick for digits")
    task = digits(args.seconds) if args.quick else cifar10(args.data, args.seconds)
    stem = args.output and args.output / f"windows_{task.name.lower().replace('-', '')}"
    spent, rows = 0, {}
    if args.resume and stem and stem.with_suffix(".json").exists():
        found = json.loads(stem.with_suffix(".json").read_text())
        spent, rows = found["seconds"], found["rows"]
    start = perf_counter() - spent
    for row in run(task, args.seed, args.quick, args.seconds, set(rows)):
        rows[row["network"]] = {k: v for k, v in row.items() if k != "history"}
        text = markdown(task, rows, perf_counter() - start)
        if stem:
            stem.parent.mkdir(parents=True, exist_ok=True)
            stem.with_suffix(".md").write_text(text)
            whole = {"seconds": perf_counter() - start, "rows": rows}
            stem.with_suffix(".json").write_text(json.dumps(whole, indent=1) + "\n")
        print(f"{row['network']}: {row['accuracy']:.4f}, {row['loss']:.4f}", flush=True)
    print(text if rows else "nothing to do")


if __name__ == "__main__":
    main()
