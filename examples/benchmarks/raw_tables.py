"""Raw tables: columns without information, and one of many values that matters.

    python examples/benchmarks/raw_tables.py --data DIR --compas FILE --output docs/tables
    python examples/benchmarks/raw_tables.py --data DIR --output docs/tables --resume
    python examples/benchmarks/raw_tables.py --quick

Three tables, each with and without columns of many values:

- made up: two columns that matter, and a column of text that is noise, of 50 values or
  more, on 2,000 rows; tested on 20,000 others.
- telco_churn as the file has it: a number of the customer that is text, and charges as
  text with blanks for what is missing. DIR holds a `load.py`, see `tables.py`.
- compas with the text of the charge, which 389 values are left of, and which matters.
  FILE is compas-scores-two-years.csv of ProPublica's repository compas-analysis, with the
  filter and the columns of ProPublica. Without it this table is left out.

Our network and its growth have their default settings, and so have explainable boosting
machines (interpret-core), where they are installed, on the first three seeds and of
columns with at most 3,000 values.
"Difference" is to the same model without the columns, on the same rows. With the first
seed every term of networks that have them is drawn, in a process of its own: seconds and
memory are those of the term that takes most. `--quick` takes small tables, one seed and
our networks. `--resume` adds what an earlier run lacks; with `--ours` it fits our
networks anew.
"""

from __future__ import annotations

import argparse
import json
import pickle
import platform
import subprocess
import sys
import tempfile
import warnings
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from tables import measured, tables

from skgrow import GrowingNAMClassifier, __version__

GROWN = 100  # branches, at most
EBM_SEEDS = 3  # of columns of a thousand values it takes a minute
EBM_VALUES = 3000  # of a column of text, at most: of more EBM takes many minutes
CARDINALITIES = {"50 values": 50, "200 values": 200, "1,000 values": 1000}
WITHOUT, ALL_DIFFERENT = "without", "all different"
OURS = ("base", "grown")
COLUMNS = (
    "auc", "auc_difference", "log_loss", "log_loss_difference", "fit_seconds",
    "n_terms", "n_grown", "draw_seconds", "draw_mebibytes",
)  # fmt: skip
DRAW_TIMEOUT = 900  # seconds for all terms of a network
HEAD = """\
Columns of many values without information, and one that matters: default settings, test
rows, mean over the seeds ± standard deviation; EBM on the first three seeds, where no
column of text has more than 3,000 values, of which it takes many minutes. Differences
are to the same model without these columns ("without"), on the same rows. Drawing is of
the term that takes most, first seed. Written by `examples/benchmarks/raw_tables.py`.
""".splitlines()

DRAW = """
import json, pickle, sys, time, warnings
import matplotlib
matplotlib.use("Agg")
from matplotlib import pyplot
from skgrow.plotting import TermDisplay

warnings.simplefilter("ignore")

def mebibytes(name):
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines[name].split()[0]) / 1024

def draw(term):
    display = TermDisplay.from_estimator(model, X, term)
    display.figure_.canvas.draw()
    pyplot.close("all")

with open(sys.argv[1], "rb") as file:
    model, X = pickle.load(file)
draw(model.term_names_[0])  # libraries are loaded at first use
seconds, memory = [], []
for term in model.term_names_:
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
    before, start = mebibytes("VmRSS"), time.perf_counter()
    draw(term)
    seconds.append(time.perf_counter() - start)
    memory.append(mebibytes("VmHWM") - before)
print(json.dumps({"draw_seconds": max(seconds), "draw_mebibytes": max(memory)}))
"""


def made_up(seed, n_train, n_test, cardinalities):
    """Training and test rows of each variant, by its title."""
    rng = np.random.RandomState(seed)
    n_rows = n_train + n_test
    frame = pd.DataFrame(rng.normal(size=(n_rows, 2)), columns=["income", "age"])
    chance = 1 / (1 + np.exp(-1.5 * frame["income"] - 1.5 * frame["age"]))
    y = (rng.uniform(size=n_rows) < chance).astype(int)
    noise = {
        title: rng.randint(n_values, size=n_rows)
        for title, n_values in cardinalities.items()
    }
    noise[ALL_DIFFERENT] = rng.permutation(n_rows)
    variants = {WITHOUT: frame}
    for title, numbers in noise.items():
        variants[title] = frame.assign(noise=[f"v{number:06d}" for number in numbers])
    return variants, y, np.arange(n_train), np.arange(n_train, n_rows)


def divided(seed, variants, y):
    """Variants of a table and their rows, 80 to 20, stratified by class."""
    rows = train_test_split(
        np.arange(len(y)), test_size=0.2, random_state=seed, stratify=y
    )
    return variants, y, *rows


def raw(frame, number):
    """The variants of a table: as it is, and as raw files have it."""
    rng = np.random.RandomState(0)
    customers = [f"{i:04d}-{rng.randint(16**5):05X}" for i in rng.permutation(len(frame))]
    text = frame[number].map(lambda value: " " if np.isnan(value) else str(value))
    changed = frame.assign(**{number: text.astype(object)})
    changed.insert(0, "customerID", customers)
    return {WITHOUT: frame, "raw": changed}


def compas(file):
    """Variants and target: ProPublica's rows, and the columns that are known before."""
    table = pd.read_csv(file)
    table = table[
        (table["days_b_screening_arrest"].abs() <= 30)
        & (table["is_recid"] != -1)
        & (table["c_charge_degree"] != "O")
    ].reset_index(drop=True)
    stay = pd.to_datetime(table["c_jail_out"]) - pd.to_datetime(table["c_jail_in"])
    frame = table[
        ["age", "sex", "race", "juv_fel_count", "juv_misd_count", "juv_other_count",
         "priors_count", "c_charge_degree"]
    ].assign(length_of_stay=stay.dt.days)  # fmt: skip
    charged = frame.assign(c_charge_desc=table["c_charge_desc"])
    return {WITHOUT: frame, "with the charge": charged}, table["two_year_recid"]


def all_tables(args):
    """For each table its name and what makes variants and rows of a seed."""
    if args.quick:
        few = {"20 values": 20}
        yield "made up", partial(made_up, n_train=300, n_test=1000, cardinalities=few)
        X, y = load_breast_cancer(return_X_y=True, as_frame=True)
        variants = raw(X.iloc[:, :3], X.columns[0])
        yield "breast_cancer", partial(divided, variants=variants, y=y)
        return
    plain = {"n_train": 2000, "n_test": 20_000, "cardinalities": CARDINALITIES}
    yield "made up", partial(made_up, **plain)
    [(_, X, y, _)] = tables(args.data, ["telco_churn"])
    y = (y == "Yes").astype(int)
    variants = raw(X, "TotalCharges")
    yield "telco_churn", partial(divided, variants=variants, y=y)
    if args.compas is None:
        print("without --compas FILE: compas is left out", file=sys.stderr)
        return
    variants, y = compas(args.compas)
    yield "compas", partial(divided, variants=variants, y=y)


def ours(X, y, seed):
    """Our networks, with the seconds of each, growth included."""
    start = perf_counter()
    base = GrowingNAMClassifier(random_state=seed).fit(X, y)
    seconds = perf_counter() - start
    yield "base", base, seconds
    start = perf_counter()
    grown = deepcopy(base).grow(X, y, n_branches=GROWN)
    yield "grown", grown, seconds + perf_counter() - start


def machines(X, y, seed):
    """An explainable boosting machine, where there is the package."""
    if find_spec("interpret"):
        from interpret.glassbox import ExplainableBoostingClassifier

        start = perf_counter()
        model = ExplainableBoostingClassifier(random_state=seed, n_jobs=-1).fit(X, y)
        yield "EBM", model, perf_counter() - start


def drawn(model, X):
    """Seconds and memory of the term that takes most, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.pickle"
        file.write_bytes(pickle.dumps((model, X)))
        command = [sys.executable, "-W", "ignore", "-c", DRAW, str(file)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=DRAW_TIMEOUT, check=True
            )
        except subprocess.SubprocessError as error:  # the others have their figures still
            print(f"drawing failed: {error}", error.stderr, file=sys.stderr)
            return {}
    return json.loads(done.stdout)


def run(make, seed, with_others):
    """Scores of all models on all variants of a table."""
    warnings.simplefilter("ignore")  # growth that stops early, columns that are left out
    variants, y, train, test = make(seed)
    y = np.asarray(y)
    for variant, X in variants.items():
        X_train, X_test = (X.iloc[rows].reset_index(drop=True) for rows in (train, test))
        fitted = [ours(X_train, y[train], seed)]
        text = X_train.select_dtypes(exclude="number")
        if with_others and max(text.nunique(), default=0) <= EBM_VALUES:
            fitted += [machines(X_train, y[train], seed)]
        for title, model, seconds in (one for some in fitted for one in some):
            row = measured(model, seconds, X_test, y[test], is_number=False)
            if title in OURS and seed == 0 and variant != WITHOUT:
                row |= drawn(model, X_train)
            print(f"seed {seed}, {variant}, {title}: {told(row)}", flush=True)
            yield variant, title, {c: row[c] for c in COLUMNS if c in row}


def told(row):
    return ", ".join(f"{name} {row[name]:.4g}" for name in COLUMNS if name in row)


def markdown(results, seconds):
    """The tables as the documentation shows them."""
    lines = ["# Raw tables", "", *HEAD, ""]
    for name, seeds in results.items():
        lines += [f"## {name}", "", f"Seeds: {len(seeds)}.", ""]
        names = " | ".join(column.replace("_", " ") for column in COLUMNS)
        lines += [f"| | | {names} |", "|---|---|" + "---:|" * len(COLUMNS)]
        for variant, titles in seeds[0].items():
            for title in titles:
                cells = (cell(seeds, variant, title, column) for column in COLUMNS)
                lines.append(f"| {variant} | {title} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [
        f"All runs together {seconds / 60:.0f} minutes on {torch.get_num_threads()} "
        f"threads; skgrow {__version__}, torch {torch.__version__}, Python "
        f"{platform.python_version()}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def cell(seeds, variant, title, column):
    """One figure, as text."""
    plain = column.removesuffix("_difference")
    rows = [one[variant][title] for one in seeds if title in one.get(variant, {})]
    values = np.array([row[plain] for row in rows if plain in row])
    sign = ""
    if plain != column:
        others = [one[WITHOUT][title][plain] for one in seeds if title in one[variant]]
        values, sign = values - others, "+"
        if variant == WITHOUT:
            return ""
    if not len(values):
        return ""
    if column in ("auc", "log_loss") or sign:
        spread = f" ± {values.std():.4f}" if len(values) > 1 else ""
        return f"{values.mean():{sign}.4f}{spread}"
    return f"{values.mean():,.1f}" if "seconds" in column else f"{values.mean():,.0f}"


def output(args):
    """Path of both files, without what they end in."""
    return args.output / ("raw_tables_quick" if args.quick else "raw_tables")


def earlier(args):
    """Seconds and results of an earlier run."""
    file = output(args).with_suffix(".json")
    if not file.exists():
        return 0, {}
    found = json.loads(file.read_text())
    return found["seconds"], found["results"]


def write(results, seconds, args):
    """After every seed of a table: a run that is cut short leaves what is done."""
    if args.output is None:
        return
    args.output.mkdir(parents=True, exist_ok=True)
    stem = output(args)
    stem.with_suffix(".md").write_text(markdown(results, seconds))
    text = json.dumps({"seconds": seconds, "results": results}, indent=1)
    stem.with_suffix(".json").write_text(text + "\n")


def main():
    """Run, print and, when asked, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with load.py")
    parser.add_argument("--compas", type=Path, help="compas-scores-two-years.csv")
    parser.add_argument("--quick", action="store_true", help="small tables, one seed")
    parser.add_argument("--output", type=Path, help="folder for JSON and Markdown")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--resume", action="store_true", help="add to earlier output")
    parser.add_argument(
        "--ours", action="store_true",
        help="with --resume: fit our networks anew where the earlier run has the others",
    )  # fmt: skip
    args = parser.parse_args()
    if not args.quick and args.data is None:
        parser.error("give --data DIR, or --quick for small tables")
    if args.resume and args.output is None:
        parser.error("--resume needs --output, the folder of the earlier run")
    if args.ours and not args.resume:
        parser.error("--ours needs --resume; without it all models are fitted anyway")
    seconds, results = earlier(args) if args.resume else (0, {})
    start = perf_counter() - seconds
    for name, make in all_tables(args):
        done = results.setdefault(name, [])
        for seed in range(1 if args.quick else args.seeds):
            known = done[seed] if seed < len(done) else {}
            if known and not args.ours:
                continue
            print(name, flush=True)
            found = deepcopy(known)
            with_others = not known and not args.quick and seed < EBM_SEEDS
            for variant, title, row in run(make, seed, with_others):
                found.setdefault(variant, {})[title] = row
            done[seed : seed + 1] = [found]
            write(results, perf_counter() - start, args)
    print(markdown(results, perf_counter() - start))


if __name__ == "__main__":
    main()
