"""Transfer without training: branches of one task vote on another.

    python examples/benchmarks/transfer.py --data DIR --output docs/tables
    python examples/benchmarks/transfer.py --quick

DIR holds a `load.py` with `load_images(name)` for "cifar10", "mnist" and
"fashion_mnist", which returns uint8 rows with labels: X_train, y_train, X_test, y_test.
The full run takes about half an hour on two cores. `--quick` needs no data: the source
learns scikit-learn's digits 0 to 4, and 5 to 9 are elected.

Every election stands beside a control: the same search over branches that were never
trained. Numbers of branches are given; nothing is chosen by these figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import skgrow
from skgrow import (
    ElectionTransferClassifier,
    GrowingNAMClassifier,
    GrowthStoppedWarning,
    ImagePatches,
    __version__,
)
from skgrow.networks.bank import BranchBank

FEW_ROWS_MAX_ITER = 300  # few rows a pass: held-out rows say when to stop
PAPER = {"CIFAR-10 -> MNIST": 0.8813, "MNIST, trained": 0.9613}


@dataclass(frozen=True)
class Task:
    """Data of one task; validation rows come out of the training rows."""

    name: str
    patches: ImagePatches  # of a network trained on all of it
    train: tuple
    validation: tuple
    test: tuple


@dataclass(frozen=True)
class Setting:
    """Sizes of the run."""

    sizes: tuple  # branches at which the long election is looked at
    n_branches: int  # of all other elections
    seconds: float  # of each of them
    max_iter: int
    search_regions: int
    few: tuple  # labelled rows a class
    long_search_regions: int  # of the long election


FULL = Setting(
    (100, 200, 400, 700, 1000, 1400, 1800, 2200, 2700, 3200, 3750),
    600, 75, 20, 40, (10, 50, 200), 100,
)  # fmt: skip
QUICK = Setting((20, 40, 60), 40, 20, 20, 36, (10, 50), 36)


def image_task(name, load_images, patches):
    X, y, X_test, y_test = load_images(name)
    X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    n_validation = len(y) // 12
    X, X_val, y, y_val = train_test_split(
        X, y, test_size=n_validation, stratify=y, random_state=0
    )
    return Task(name, patches, (X, y), (X_val, y_val), (X_test, y_test))


def full_tasks(folder):
    """CIFAR-10 as a source; MNIST and Fashion-MNIST as both."""
    sys.path.insert(0, str(folder))
    from load import load_images

    grey = ImagePatches((1, 28, 28), patch_size=3, stride=3)
    colour = ImagePatches((3, 32, 32), patch_size=3, stride=6)
    cifar = image_task("cifar10", load_images, colour)
    mnist = image_task("mnist", load_images, grey)
    fashion = image_task("fashion_mnist", load_images, grey)
    return [(cifar, mnist), (cifar, fashion), (mnist, fashion), (fashion, mnist)]


def digit_tasks():
    """Digits 0 to 4 and 5 to 9."""
    X, y = load_digits(return_X_y=True)
    patches = ImagePatches((1, 8, 8), patch_size=3, stride=2)
    tasks = []
    for name, own in (("digits 0-4", y < 5), ("digits 5-9", y >= 5)):
        X_rest, X_test, y_rest, y_test = train_test_split(
            X[own], y[own], test_size=0.25, stratify=y[own], random_state=0
        )
        X_train, X_val, y_train, y_val = train_test_split(
            X_rest, y_rest, test_size=0.2, stratify=y_rest, random_state=0
        )
        data = (X_train, y_train), (X_val, y_val), (X_test, y_test)
        tasks.append(Task(name, patches, *data))
    return [tuple(tasks)]


def train(task, max_iter, seed):
    """A network trained on the task, and the seconds that took."""
    start = perf_counter()
    nam = GrowingNAMClassifier(
        task.patches, max_iter=max_iter, early_stopping=True, random_state=seed
    )
    return nam.fit(*task.train), perf_counter() - start


def untrained(bank, seed):
    """As many branches of the same shape, never trained: the control."""
    sizes = tuple(b.shape[1] for b in bank.biases)
    state = np.random.RandomState(seed)
    return BranchBank.random(bank.regions, sizes, bank.n_outputs, state, bank.dtype)


def election(source, task, setting, seed, **parameters):
    """A fitted election on all training rows of the task, and its seconds."""
    start = perf_counter()
    given = {
        "n_branches": setting.n_branches,
        "max_time": setting.seconds,
        "search_regions": setting.search_regions,
    }
    vote = ElectionTransferClassifier(
        source, task.patches, random_state=seed, **{**given, **parameters}
    )
    return quietly(vote.fit, *task.train), perf_counter() - start


def quietly(verb, *args):
    """Call a verb; that growth may stop early shows in the numbers of branches."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrowthStoppedWarning)
        return verb(*args)


def scores(model, task):
    """Accuracy on all three parts, and the loss on test rows."""
    found = {
        part: accuracy_score(y, model.predict(X))
        for part, (X, y) in (
            ("train", task.train), ("validation", task.validation), ("test", task.test)
        )
    }  # fmt: skip
    X, y = task.test
    proba = model.predict_proba(X).astype(np.float64)
    return found | {"loss": log_loss(y, proba / proba.sum(axis=1, keepdims=True))}


def row(name, model, task, seconds):
    """One row of a table."""
    line = {
        "network": name,
        **scores(model, task),
        "n_branches": getattr(model, "n_branches_", 0),
        "n_parameters": getattr(model, "n_parameters_", None),
        "seconds": seconds,
    }
    print(
        f"{task.name:14} {name:40} validation {line['validation']:.4f} "
        f"test {line['test']:.4f} branches {line['n_branches']} {seconds:.0f} s",
        flush=True,
    )
    return line


def curve(source, source_seconds, task, setting, seed):
    """The long election, looked at on the way."""
    vote, seconds = election(
        source, task, setting, seed,
        n_branches=setting.sizes[0], max_time=None, n_rounds_no_change=10,
        search_regions=setting.long_search_regions,
    )  # fmt: skip
    lines = [row("elected", vote, task, source_seconds + seconds)]
    for size in setting.sizes[1:]:
        before, start = vote.n_branches_, perf_counter()
        quietly(vote.grow, *task.train, size - before)
        seconds += perf_counter() - start
        if vote.n_branches_ == before:
            break
        lines.append(row("elected", vote, task, source_seconds + seconds))
        if vote.n_branches_ < size:
            break  # the held-out rows say stop
    return vote, lines


PREDICT = """
import json, sys, time
import numpy as np, skgrow
def peak():  # of this program alone, where the system tells
    try:
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    except OSError:
        return float("nan")
    return int(status["VmHWM"].split()[0]) / 1024
model, X = skgrow.load(sys.argv[1]), np.load(sys.argv[2])
model.predict(X[:100])
before, start = peak(), time.perf_counter()
model.predict(X)
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "mebibytes": peak() - before}))
"""


def predict_elsewhere(model, X):
    """Time and memory of predicting in a process that did nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("model", "rows.npy")]
        skgrow.save(model, files[0])
        np.save(files[1], X)
        command = [sys.executable, "-c", PREDICT, *files]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {"rows": len(X), "n_branches": model.n_branches_, **json.loads(out)}


def few_rows(source, task, setting, seed):
    """Election, training from scratch and logistic regression on few labelled rows."""
    lines = []
    X, y = task.train
    for n in setting.few:
        own = np.concatenate([np.flatnonzero(y == k)[:n] for k in np.unique(y)])
        few = Task(task.name, task.patches, (X[own], y[own]), *_parts(task))
        vote, seconds = election(source, few, setting, seed)
        lines.append(row(f"{n} a class: election", vote, few, seconds))
        nam, seconds = train(few, FEW_ROWS_MAX_ITER, seed)
        lines.append(row(f"{n} a class: NAM from scratch", nam, few, seconds))
        start = perf_counter()
        logistic = make_pipeline(MinMaxScaler(), LogisticRegression(max_iter=1000))
        logistic.fit(X[own], y[own])
        seconds = perf_counter() - start
        lines.append(row(f"{n} a class: logistic regression", logistic, few, seconds))
    return lines


def _parts(task):
    return task.validation, task.test


def run(tasks, setting, seed, report):
    """All tables, reported after each pair of tasks."""
    result, trained = {"pairs": {}}, {}
    for i, (old, new) in enumerate(tasks):
        for task in (old, new):
            if task.name not in trained:
                trained[task.name] = train(task, setting.max_iter, seed)
        source, source_seconds = trained[old.name]
        name = f"{old.name} -> {new.name}"
        print(f"\n{name}", flush=True)
        if i == 0:
            vote, result["curve"] = curve(source, source_seconds, new, setting, seed)
            result["predict"] = predict_elsewhere(vote, new.test[0])
            result["few"] = few_rows(source, new, setting, seed)
        vote, seconds = election(source, new, setting, seed)
        lines = [row("elected", vote, new, seconds)]
        n_reached = max(1, vote.n_branches_)
        vote, seconds = election(
            untrained(source.bank_, seed), new, setting, seed, n_branches=n_reached
        )
        lines.append(row("control: untrained branches", vote, new, seconds))
        nam, seconds = trained[new.name]
        lines.append(row("trained on the task", nam, new, seconds))
        result["pairs"][name] = lines
        report(result)


def markdown(result, seconds):
    """The tables as the documentation shows them."""
    head = "accuracy | loss (nats) | branches | fitted numbers | seconds |"
    lines = ["# Transfer without training", "", "## Each pair of tasks", ""]
    lines += [f"| tasks | network | validation accuracy | test {head}", "|---" * 8 + "|"]
    for name, pair in result["pairs"].items():
        lines += [f"| {name} | {_cells(line)}" for line in pair]
    lines += [
        "",
        "## More branches",
        "",
        "Seconds include the training of the source.",
        "",
    ]
    lines += [
        "| branches | train | validation | test | loss | seconds |",
        "|---" * 6 + "|",
    ]
    lines += [
        f"| {line['n_branches']:,} | {line['train']:.4f} | {line['validation']:.4f} "
        f"| {line['test']:.4f} | {line['loss']:.4f} | {line['seconds']:.0f} |"
        for line in result["curve"]
    ]
    lines += ["", "## Few labelled rows", ""]
    lines += [f"| labelled rows | validation accuracy | test {head}", "|---" * 7 + "|"]
    lines += [f"| {_cells(line)}" for line in result["few"]]
    predict = result["predict"]
    memory = ""
    if predict.get("mebibytes", np.nan) >= 0:
        memory = f" and {predict['mebibytes']:.0f} MiB more than loading took"
    lines += [
        "",
        f"{predict['n_branches']:,} branches predict {predict['rows']:,} rows in "
        f"{predict['seconds']:.2f} seconds{memory}. Whole run {seconds / 60:.1f} minutes "
        f"on {torch.get_num_threads()} threads; skgrow {__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}. The paper elects "
        f"CIFAR-10 branches for MNIST at {PAPER['CIFAR-10 -> MNIST']} and trains the "
        f"task to {PAPER['MNIST, trained']}.",
        "",
    ]
    return "\n".join(lines)


def _cells(line):
    count = "" if line["n_parameters"] is None else f"{line['n_parameters']:,}"
    return (
        f"{line['network']} | {line['validation']:.4f} | {line['test']:.4f} "
        f"| {line['loss']:.4f} | {line['n_branches']:,} | {count} "
        f"| {line['seconds']:.0f} |"
    )


def main():
    """Read the command line and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with load.py")
    parser.add_argument("--quick", action="store_true", help="digits, one minute")
    parser.add_argument("--output", type=Path, help="folder for JSON and Markdown")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if not args.quick and args.data is None:
        parser.error("give --data DIR, or --quick for digits")
    write_tables(args.data, args.quick, args.output, args.seed)


def write_tables(data, quick, output, seed):
    """Run, print and, when `output` is a folder, write the tables."""
    start = perf_counter()

    def report(result):
        table = markdown(result, perf_counter() - start)
        print("\n" + table, flush=True)
        if output is not None:
            output.mkdir(parents=True, exist_ok=True)
            stem = output / ("transfer_quick" if quick else "transfer")
            stem.with_suffix(".md").write_text(table)
            stem.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")

    tasks = digit_tasks() if quick else full_tasks(data)
    run(tasks, QUICK if quick else FULL, seed, report)


if __name__ == "__main__":
    main()
