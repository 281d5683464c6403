"""A large table: time and memory of fit, growth and prediction.

    python examples/benchmarks/large_table.py --output docs/tables
    python examples/benchmarks/large_table.py --quick

A frame of 200,000 rows and 200 columns, made up: nine in ten columns are numbers, one of
ten of these with gaps, the others categories. Ten columns matter by themselves and five
pairs of them together. Base branches are trained in 20 passes (`max_iter`) at most, all
else is as it is by default. `--quick` takes 3,000 rows and 20 columns.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import threading
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from skgrow import GrowingNAMClassifier, __version__

PASSES = 20
SHAPES = (np.sin, np.square, np.abs, np.tanh, np.cos)


def made_up(n_rows, n_columns, seed=0):
    """A frame, and a target of two classes that depends on some of it."""
    rng = np.random.RandomState(seed)
    inputs = rng.normal(size=(n_rows, n_columns)).astype(np.float32)
    score = sum(SHAPES[j % 5](inputs[:, j]) for j in range(10))
    score += sum(inputs[:, j] * inputs[:, j + 5] for j in range(5))
    y = score + rng.logistic(size=n_rows) > np.median(score)
    columns = {f"number {j}": inputs[:, j] for j in range(n_columns)}
    for j in range(5, n_columns, 10):
        columns[f"number {j}"] = np.where(rng.rand(n_rows) < 0.1, np.nan, inputs[:, j])
    for j in range(9, n_columns, 10):
        cells = np.digitize(inputs[:, j], [-1, -0.3, 0.3, 1])
        del columns[f"number {j}"]
        columns[f"kind {j}"] = pd.Categorical.from_codes(cells, list("abcde"))
    return pd.DataFrame(columns), y


class Peak:
    """Largest resident memory since the start, in MiB, looked at now and then."""

    def __init__(self):
        self.start = self.most = resident()
        self.done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while not self.done.wait(0.05):
            self.most = max(self.most, resident())

    def above_start(self):
        """MiB that were added at most."""
        self.done.set()
        return self.most - self.start


def resident():
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def run(X, y, n_branches):
    """A row of figures for each step."""
    n_train = len(X) * 3 // 4
    rows, test = (X[:n_train], y[:n_train]), (X[n_train:], y[n_train:])
    nam = GrowingNAMClassifier(max_iter=PASSES, random_state=0)
    steps = (
        ("fit", lambda: nam.fit(*rows)),
        ("predict", lambda: nam.predict_proba(test[0])),
        (f"grow by {n_branches} at most", lambda: nam.grow(*rows, n_branches)),
        ("predict, grown", lambda: nam.predict_proba(test[0])),
    )
    for title, step in steps:
        peak, start = Peak(), perf_counter()
        step()
        row = {"step": title, "seconds": perf_counter() - start}
        row["mebibytes"] = peak.above_start()
        row["n_terms"] = len(nam.term_names_)
        row["n_branches"] = nam.n_branches_
        row["auc"] = roc_auc_score(test[1], nam.predict_proba(test[0])[:, 1])
        print(row, flush=True)
        yield row


def markdown(rows, shape, frame_bytes):
    """The table as the documentation shows it."""
    lines = [
        "# A large table", "",
        f"{shape[0]:,} rows and {shape[1]} columns, {frame_bytes / 2**20:,.1f} MiB; "
        "three quarters to fit and grow on, the others to predict. Memory is the most "
        f"that a step added. At most {PASSES} passes of training.", "",
        "| step | seconds | MiB added | terms | branches grown | test AUC |",
        "|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    lines += [
        f"| {row['step']} | {row['seconds']:.1f} | {row['mebibytes']:,.0f} "
        f"| {row['n_terms']} | {row['n_branches']} | {row['auc']:.4f} |"
        for row in rows
    ]
    lines += [
        "",
        f"{torch.get_num_threads()} threads; skgrow {__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}.",
        "",
    ]
    return "\n".join(lines)


def main():
    """Run, print and, when asked, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path, help="folder for JSON and Markdown")
    args = parser.parse_args()
    shape = (3_000, 20) if args.quick else (200_000, 200)
    X, y = made_up(*shape)
    rows = list(run(X, y, 20 if args.quick else 200))
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        stem = args.output / ("large_table_quick" if args.quick else "large_table")
        n_bytes = X.memory_usage().sum()
        stem.with_suffix(".md").write_text(markdown(rows, shape, n_bytes))
        stem.with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
