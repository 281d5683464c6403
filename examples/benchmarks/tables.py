"""Tables: our networks beside boosting machines, trees and linear models.

    python examples/benchmarks/tables.py --data DIR --output docs/tables
    python examples/benchmarks/tables.py --data DIR --output docs/tables --resume
    python examples/benchmarks/tables.py --quick

DIR holds a `load.py` with `load_table(name)`, which returns pandas frames and labels: X
and y of training and test rows; they are put together and divided anew for every seed,
80 to 20. Explainable boosting machines (interpret-core) and IGANN take part where they
are installed: `pip install -c constraints.txt -e ".[benchmarks]"`. `--quick` takes two
tables of scikit-learn and one seed. `--resume` adds to the output of an earlier run the
seeds and tables that it lacks, on the same machine. With `--ours` our networks, or those
that are named, are fitted anew where it has the others: a new version of skgrow asks for
that, and no other model does.

All models have their default settings, and test rows are read once, for the table. Every
model has the whole machine; seconds are those of the call that fitted it. The summary
compares seconds over those seeds alone on which one call, so one machine, fitted both.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import warnings
from copy import deepcopy
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, roc_auc_score, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skgrow import GrowingNAMClassifier, GrowingNAMRegressor, __version__

CLASSIFIED = (
    "adult", "compas", "german_credit", "telco_churn", "credit_default", "magic_gamma"
)  # fmt: skip
PREDICTED = ("california_housing",)
# Our networks. The pairs of "a few pairs" are each column and the next one: they have
# branches, and growth may use these on all pairs.
OURS = ("base", "light", "a few pairs", "single columns", "trained on all pairs")
WHEN_GROWN = {
    "base": "grown", "light": "light, grown", "a few pairs": "a few pairs, grown"
}  # fmt: skip
GROWN = 200  # branches, at most
BINS = 10  # of the calibration error
CALL = "call"  # when the call began that fitted a model


def tables(folder, names):
    """Name, inputs, target, and whether the target is a number."""
    if folder is None:
        X, y = load_breast_cancer(return_X_y=True, as_frame=True)
        yield "breast_cancer", X.iloc[:, :6], y, False
        yield "diabetes", *load_diabetes(return_X_y=True, as_frame=True), True
        return
    sys.path.insert(0, str(folder))
    from load import load_table

    for name in names:
        X_train, y_train, X_test, y_test = load_table(name)
        X = pd.concat([X_train, X_test], ignore_index=True)
        y = pd.concat([y_train, y_test], ignore_index=True)
        yield name, X, y, name in PREDICTED


def prepared(model):
    """Text as indicators and numbers of unit variance, for models that need it."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    words = OneHotEncoder(handle_unknown="ignore", min_frequency=5)
    ready = make_column_transformer(
        (numbers, make_column_selector(dtype_include=np.number)),
        (words, make_column_selector(dtype_exclude=np.number)),
        sparse_threshold=0,
    )
    return make_pipeline(ready, model)


class Codes:
    """Text as categories, which histogram trees take as they are."""

    def __init__(self, model):
        self.model = model

    def fit(self, X, y):
        words = X.select_dtypes(exclude="number").columns
        self.categories = {c: X[c].astype("category").cat.categories for c in words}
        self.model.fit(self._coded(X), y)
        return self

    def _coded(self, X):
        made = {c: pd.Categorical(X[c], known) for c, known in self.categories.items()}
        return X.assign(**made)

    def predict(self, X):
        return self.model.predict(self._coded(X))

    def predict_proba(self, X):
        return self.model.predict_proba(self._coded(X))


class Igann:
    """IGANN with its own wishes: scaled numbers, text as objects, labels -1 and 1."""

    def __init__(self, seed, is_number):
        from igann import IGANN

        task = "regression" if is_number else "classification"
        self.model = IGANN(task=task, random_state=seed, device="cpu", verbose=0)

    def fit(self, X, y):
        numbers = X.select_dtypes("number")
        self.middle, self.spread = numbers.mean(), numbers.std().replace(0, 1)
        self.words = X.select_dtypes(exclude="number").columns
        if self.model.task == "classification":
            self.model.fit(self._scaled(X), 2 * y - 1)
        else:
            self.mean, self.scale = y.mean(), y.std()
            self.model.fit(self._scaled(X), (y - self.mean) / self.scale)
        return self

    def _scaled(self, X):
        words = X[self.words].astype(object).where(X[self.words].notna(), "missing")
        numbers = (X.drop(columns=self.words) - self.middle) / self.spread
        return pd.concat([numbers.fillna(0), words.astype(str)], axis=1)

    def predict(self, X):
        return self.model.predict(self._scaled(X)) * self.scale + self.mean

    def predict_proba(self, X):
        return self.model.predict_proba(self._scaled(X))


def others(seed, is_number, with_ebm):
    """Models of other packages, by name."""
    if is_number:
        trees, mlp = HistGradientBoostingRegressor, MLPRegressor
        linear = Ridge()
    else:
        trees, mlp = HistGradientBoostingClassifier, MLPClassifier
        linear = LogisticRegression(max_iter=1000)
    models = {
        "histogram trees": Codes(trees(random_state=seed)),
        "MLP": prepared(mlp(early_stopping=True, random_state=seed)),
        "linear": prepared(linear),
    }
    if with_ebm and find_spec("interpret"):
        from interpret import glassbox

        name = "Regressor" if is_number else "Classifier"
        machine = getattr(glassbox, f"ExplainableBoosting{name}")
        plain = {"random_state": seed, "n_jobs": -1}  # by default it leaves a core idle
        models["EBM"] = machine(**plain)
        models["EBM, no interactions"] = machine(interactions=0, **plain)
    if find_spec("igann"):
        models["IGANN"] = Igann(seed, is_number)
    return models


def calibration_error(y, proba):
    """Mean gap between predicted and observed share in bins of equal width."""
    cell = np.minimum((proba * BINS).astype(int), BINS - 1)
    gaps = np.bincount(cell, weights=y - proba, minlength=BINS)
    return np.abs(gaps).sum() / len(y)


def measured(model, seconds, X_test, y_test, is_number):
    """Scores of a fitted model on test rows."""
    start = perf_counter()
    if is_number:
        scores = {"rmse": root_mean_squared_error(y_test, model.predict(X_test))}
    else:
        proba = model.predict_proba(X_test)[:, 1]
        scores = {
            "auc": roc_auc_score(y_test, proba),
            "log_loss": log_loss(y_test, proba),
            "calibration_error": calibration_error(y_test, proba),
        }
    scores["fit_seconds"] = seconds
    scores["predict_seconds"] = perf_counter() - start
    if hasattr(model, "term_names_"):
        scores["n_terms"] = len(model.term_names_)
    if hasattr(model, "n_parameters_"):
        scores["n_parameters"] = int(model.n_parameters_)
        scores["n_grown"] = int(model.n_branches_)
    return {name: float(value) for name, value in scores.items()}


def ours(X, y, seed, is_number, titles):
    """Our fitted networks of these titles, with the seconds of each, growth included."""
    kind = GrowingNAMRegressor if is_number else GrowingNAMClassifier
    n_columns = X.shape[1]
    neighbours = [[j, (j + 1) % n_columns] for j in range(n_columns)]
    networks = {
        "base": kind(),
        "light": kind(surfaces=False),  # pairs are left to branches, and to growth
        "a few pairs": kind(neighbours, grow_regions="pairs", curves=True),
        "single columns": kind("features", curves=True),
        "trained on all pairs": kind("pairs", curves=True, n_replicas=2),
    }
    for title in titles:
        start = perf_counter()
        base = networks[title].set_params(random_state=seed).fit(X, y)
        seconds = perf_counter() - start
        yield title, base, seconds
        if title in WHEN_GROWN:
            start = perf_counter()
            grown = deepcopy(base).grow(X, y, GROWN)
            yield WHEN_GROWN[title], grown, seconds + perf_counter() - start


def run(name, X, y, is_number, seed, ebm_rows, titles=OURS, with_others=True):
    """Scores of our networks, and of all other models, on one division of one table."""
    warnings.simplefilter("ignore")  # of models that stop early; some reset the filters
    if not is_number:
        y = (y == np.unique(y)[1]).astype(int)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.2, random_state=seed, stratify=None if is_number else y
    )
    fitted = ours(X_train, y_train, seed, is_number, titles)
    for title, model, seconds in fitted:
        yield title, measured(model, seconds, X_test, y_test, is_number)
    models = others(seed, is_number, len(X) <= ebm_rows) if with_others else {}
    for title, model in models.items():
        start = perf_counter()
        try:
            model.fit(X_train, y_train)
        except Exception as error:  # of another package; said, not hidden
            print(f"{name}, {title}: {type(error).__name__}: {error}", file=sys.stderr)
            continue
        seconds = perf_counter() - start
        yield title, measured(model, seconds, X_test, y_test, is_number)


def markdown(results, seconds):
    """The tables as the documentation shows them."""
    lines = ["# Tables", "", "Mean over the seeds, ± standard deviation. Test rows.", ""]
    for name, (shape, seeds) in results.items():
        titles = list(dict.fromkeys(title for scores in seeds for title in scores))
        columns = dict.fromkeys(c for s in seeds for row in s.values() for c in row)
        columns = [column for column in columns if column != CALL]
        size = f"{shape[0]:,} rows, {shape[1]} columns; seeds: {len(seeds)}."
        lines += [f"## {name}", "", size, ""]
        lines += ["| | " + " | ".join(c.replace("_", " ") for c in columns) + " |"]
        lines += ["|---|" + "---:|" * len(columns)]
        for title in titles:
            found = [scores[title] for scores in seeds if title in scores]
            cells = (_cell([row.get(column) for row in found]) for column in columns)
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += _summary(results)
    lines += [
        f"All runs together {seconds / 60:.0f} minutes on "
        f"{torch.get_num_threads()} threads; skgrow {__version__}, torch "
        f"{torch.__version__}, Python {platform.python_version()}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


def _cell(values):
    if None in values:
        return ""
    mean = np.mean(values)
    if mean >= 10 or all(value == int(value) for value in values):
        return f"{mean:,.0f}"
    if len(values) == 1:
        return f"{mean:.4f}"
    return f"{mean:.4f} ± {np.std(values):.4f}"


def _summary(results):
    """Means over the classified tables, and how each model compares to EBM."""
    parts = [seeds for _, seeds in results.values() if "auc" in seeds[0]["base"]]
    if not parts:
        return []
    titles = [t for t in parts[0][0] if all(t in s for seeds in parts for s in seeds)]
    lines = [
        "## All classified tables",
        "",
        "| | mean AUC | AUC against EBM, worst table | mean log loss | fit seconds "
        "| of EBM's |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for title in titles:
        auc, loss = (_means(parts, title, c) for c in ("auc", "log_loss"))
        cells = [f"{auc.mean():.4f}", "", f"{loss.mean():.4f}", "", ""]
        beside = "EBM" if "EBM" in titles else title
        timed = [_timed(seeds, title, beside) for seeds in parts]
        if all(timed):
            fit, other = (_means(timed, t, "fit_seconds") for t in (title, beside))
            cells[3] = f"{fit.mean():.1f}"
        if "EBM" in titles:
            cells[1] = f"{(auc - _means(parts, 'EBM', 'auc')).min():+.4f}"
            cells[4] = f"{fit.sum() / other.sum():.2f}" if all(timed) else ""
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _means(parts, title, column):
    """Of one model over the seeds, for each table."""
    return np.array([np.mean([s[title][column] for s in seeds]) for seeds in parts])


def _timed(seeds, title, other):
    """Seeds on which one call fitted both models."""
    return [s for s in seeds if CALL in s[other] and s[title].get(CALL) == s[other][CALL]]


def main():
    """Run, print and, when asked, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with load.py")
    parser.add_argument("--quick", action="store_true", help="two small tables, one seed")
    parser.add_argument("--output", type=Path, help="folder for JSON and Markdown")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--ebm-rows", type=float, default=np.inf,
        help="rows of the largest table for EBM, which takes many minutes on large ones",
    )  # fmt: skip
    parser.add_argument("--names", nargs="+", default=[*CLASSIFIED, *PREDICTED])
    parser.add_argument("--resume", action="store_true", help="add to earlier output")
    parser.add_argument(
        "--ours", nargs="*", choices=OURS, metavar="NETWORK",
        help="with --resume: fit these of our networks anew, or all of them, where the "
        "earlier run has other models",
    )  # fmt: skip
    args = parser.parse_args()
    if not args.quick and args.data is None:
        parser.error("give --data DIR, or --quick for small tables")
    if args.resume and args.output is None:
        parser.error("--resume needs --output, the folder of the earlier run")
    if args.ours is not None and not args.resume:
        parser.error("--ours needs --resume; without it all models are fitted anyway")
    seconds, results = earlier(args) if args.resume else (0, {})
    start, call = perf_counter() - seconds, datetime.now(UTC).isoformat()
    data = list(tables(None if args.quick else args.data, args.names))
    for seed in range(1 if args.quick else args.seeds):
        for name, X, y, is_number in data:
            done = results.setdefault(name, (X.shape, []))[1]
            known = done[seed] if seed < len(done) else {}
            if known and args.ours is None:
                continue
            titles = (args.ours or OURS) if known else OURS
            found = run(name, X, y, is_number, seed, args.ebm_rows, titles, not known)
            scores = {title: {**row, CALL: call} for title, row in found}
            done[seed : seed + 1] = [{**known, **scores}]
            _show(name, seed, done[seed])
            write(results, perf_counter() - start, args)


def _show(name, seed, scores):
    for title, row in scores.items():
        told = ", ".join(f"{k} {value:.4g}" for k, value in row.items() if k != CALL)
        print(f"{name}, seed {seed}, {title}: {told}", flush=True)


def output(args):
    """Path of both files, without what they end in."""
    return args.output / ("tables_quick" if args.quick else "tables")


def earlier(args):
    """Seconds and results of an earlier run."""
    file = output(args).with_suffix(".json")
    if not file.exists():
        return 0, {}
    found = json.loads(file.read_text())
    return found["seconds"], found["results"]


def write(results, seconds, args):
    """After every table: a run that is cut short leaves what is done."""
    if args.output is None:
        return
    args.output.mkdir(parents=True, exist_ok=True)
    order = {name: number for number, name in enumerate([*CLASSIFIED, *PREDICTED])}
    names = sorted(results, key=lambda name: order.get(name, len(order)))
    results = {name: results[name] for name in names}
    stem = output(args)
    stem.with_suffix(".md").write_text(markdown(results, seconds))
    text = json.dumps({"seconds": seconds, "results": results}, indent=1)
    stem.with_suffix(".json").write_text(text + "\n")


if __name__ == "__main__":
    main()
