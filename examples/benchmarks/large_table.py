"""A large table and a larger memory map: time and memory of fit, growth and prediction.

    python examples/benchmarks/large_table.py --output docs/tables
    python examples/benchmarks/large_table.py --quick

A frame of 200,000 rows and 200 columns, made up: nine in ten columns are numbers, one of
ten of these with gaps, the others categories. Ten columns matter by themselves and five
pairs of them together. Base branches are trained in 20 passes (`max_iter`) at most, all
else is as it is by default. `--quick` takes 3,000 rows and 20 columns.

Then 1,000,000 made-up images of 28 x 28 in float32, 2.9 GiB, in a file of the folder for
temporary files: a network fitted on 20,000 of them grows on the memory map of all.
`--quick` takes 20,000 images of 8 x 8. Pages of the map are not counted: the system maps
many around each one that is read, and takes them back at will. Needs Linux's /proc.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import threading
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from skgrow import GrowingNAMClassifier, ImagePatches, __version__

PASSES = 20
ROWS_PER_BLOCK = 10_000  # of the file, as it is written
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
    """Largest memory of this process's own since the start, MiB, looked at often."""

    def __init__(self):
        self.start = self.most = own_memory()
        self.done = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        while not self.done.wait(0.05):
            self.most = max(self.most, own_memory())

    def above_start(self):
        """MiB that were added at most."""
        self.done.set()
        return self.most - self.start


def own_memory():
    """Resident memory of this process in MiB, without pages of files."""
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    return int(status["RssAnon"].split()[0]) / 1024


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


def mapped(folder, n_rows, side, seed=0):
    """Memory map of noisy images of ten patterns, and which pattern each shows."""
    rng = np.random.default_rng(seed)
    patterns = rng.random((10, side * side), dtype=np.float32)
    y = rng.integers(10, size=n_rows)
    shape = n_rows, side * side
    made = np.lib.format.open_memmap(folder / "images.npy", "w+", np.float32, shape)
    for start in range(0, n_rows, ROWS_PER_BLOCK):
        rows = slice(start, start + ROWS_PER_BLOCK)
        noise = rng.random((len(y[rows]), side * side), dtype=np.float32)
        made[rows] = (patterns[y[rows]] + 9 * noise) / 10
    made.flush()
    return np.load(folder / "images.npy", mmap_mode="r"), y


def run_mapped(n_rows, side, n_branches):
    """Figures of growth on a memory map."""
    with tempfile.TemporaryDirectory() as folder:
        X, y = mapped(Path(folder), n_rows, side)
        few = slice(0, 20_000)
        patches = ImagePatches((1, side, side), patch_size=3, stride=5)
        nam = GrowingNAMClassifier(patches, max_iter=PASSES, random_state=0)
        nam.fit(X[few], y[few])
        before = nam.score(X[few], y[few])
        peak, start = Peak(), perf_counter()
        nam.grow(X, y, n_branches)
        seconds, own = perf_counter() - start, peak.above_start()
        row = {
            "step": f"grow by {n_branches}", "shape": X.shape, "seconds": seconds,
            "mebibytes": own, "n_branches": nam.n_branches_,
            "accuracy": [before, nam.score(X[few], y[few])],
            "map_mebibytes": X.nbytes / 2**20,
        }  # fmt: skip
    print(row, flush=True)
    return row


def markdown(rows, grown, shape, frame_bytes):
    """The tables as the documentation shows them."""
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
    before, after = grown["accuracy"]
    lines += [
        "",
        "## A memory map", "",
        f"{grown['shape'][0]:,} images of {grown['shape'][1]} pixels in a file of "
        f"{grown['map_mebibytes']:,.0f} MiB. Growth by {grown['n_branches']} branches "
        f"took {grown['seconds']:.0f} seconds and {grown['mebibytes']:,.0f} MiB of "
        "memory, pages of the file not counted; the accuracy on the rows of the base "
        f"went from {before:.3f} to {after:.3f}.",
        "",
        f"{torch.get_num_threads()} threads; skgrow {__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}.",
        "",
    ]  # fmt: skip
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
    grown = run_mapped(*((20_000, 8, 20) if args.quick else (1_000_000, 28, 200)))
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        stem = args.output / ("large_table_quick" if args.quick else "large_table")
        n_bytes = X.memory_usage().sum()
        stem.with_suffix(".md").write_text(markdown(rows, grown, shape, n_bytes))
        stem.with_suffix(".json").write_text(json.dumps([*rows, grown], indent=1) + "\n")


if __name__ == "__main__":
    main()
