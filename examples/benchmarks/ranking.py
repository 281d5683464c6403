"""Which ranking of matched candidates finds those that lower the loss?

Trains a small base network, matches all its branches to a few growth regions, and
compares the order each ranking puts the candidates in with their gain on fresh rows,
and with their gain on the very rows the ranking saw.

    python examples/benchmarks/ranking.py --quick
    python examples/benchmarks/ranking.py --data DIR --output results

`DIR` holds a `load.py` whose `load_images("cifar10")` returns `X_train, y_train,
X_test, y_test`, images as rows of 3 * 32 * 32 values. `--quick` needs no data: it uses
scikit-learn's digits.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.utils import gen_batches

from skgrow import ImagePatches
from skgrow.bank import BranchBank
from skgrow.growth.candidates import FoldedBranches
from skgrow.growth.clustering import find_clusters
from skgrow.growth.matching import propose_matches
from skgrow.growth.rows import Residual, residual
from skgrow.growth.screening import THRESHOLD_QUANTILES, gain_and_step
from skgrow.scaling import fit_scaler
from skgrow.training import TrainingData, TrainingPlan, train_bank

TITLES = {
    "random": "random",
    "distance": "-D, formula (15)",
    "capture": "captured row weights",
    "gain": "capture, then gain on the ranking rows (skgrow)",
    "all": "gain on the ranking rows, of all matches",
}


@dataclass(frozen=True)
class Setting:
    """Sizes of one run: rows are counts, `sizes` the numbers of ranking rows."""

    patches: ImagePatches
    n_regions: int
    n_epochs: int
    batch_size: int
    sizes: tuple
    n_fresh: int


QUICK = Setting(ImagePatches((1, 8, 8), 3, 2), 6, 30, 64, (200,), 800)
FULL = Setting(ImagePatches((3, 32, 32), 3, 6), 12, 8, 256, (400, 1200), 10_000)
N_JUDGED = 600  # candidates of a region whose gain is computed, drawn at random


@dataclass(frozen=True)
class Rows:
    """Labelled rows, features-major, with what the base network leaves to be done."""

    features: torch.Tensor
    y: np.ndarray
    residual: Residual


def main():
    args = parse_arguments()
    setting = QUICK if args.quick else FULL
    X, y = load(args)
    rng = np.random.RandomState(args.seed)
    order = rng.permutation(len(y))
    X, y = X[order], y[order]
    n_held = max(setting.sizes) + setting.n_fresh
    # Growth looks at rows that the base was not fitted to.
    bank = train_base(X[n_held:], y[n_held:], setting)
    clusters = find_clusters(bank, seed=args.seed, n_jobs=args.n_jobs)
    growth = setting.patches.columns(stride=1)
    regions = np.sort(rng.choice(len(growth), setting.n_regions, replace=False))
    fresh = make_rows(bank, X, y, slice(max(setting.sizes), n_held))
    lines = []
    for size in setting.sizes:
        seen = make_rows(bank, X, y, slice(0, size))
        job = (bank, clusters, seen, fresh, regions, growth[regions], rng)
        lines += compare(*job, args.n_jobs)
    report(lines, args.output)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="folder of load.py")
    parser.add_argument(
        "--quick", action="store_true", help="digits, well under a minute"
    )
    parser.add_argument(
        "--output", type=Path, help="folder for ranking.md and ranking.json"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--n-jobs", type=int, default=None)
    args = parser.parse_args()
    if args.data is None and not args.quick:
        parser.error("give --data DIR, or --quick")
    return args


def load(args):
    """Scaled images `(n_samples, n_features)` and class numbers."""
    if args.quick:
        X, y = load_digits(return_X_y=True)
    else:
        sys.path.insert(0, str(args.data))
        from load import load_images

        X, y, _, _ = load_images("cifar10")
    X = X.astype(np.float32)
    scaler = fit_scaler(X, np.ones(len(X)), shared_scale=True)
    return scaler.transform(X), y.astype(np.int64)


def train_base(X, y, setting):
    n_classes = int(y.max()) + 1
    columns = setting.patches.columns(setting.patches.stride)
    state = np.random.RandomState(0)
    bank = BranchBank.random(columns, (9, 9, 9, 9), n_classes, state, X.dtype)
    offset = np.zeros((1, n_classes), dtype=X.dtype)
    data = TrainingData(X, y, np.ones(len(y)), offset)
    plan = TrainingPlan(setting.n_epochs, setting.batch_size, learning_rate=4e-3)
    return train_bank(bank, data, plan)[0]


def make_rows(bank, X, y, where):
    X, y = X[where], y[where]
    left = residual(bank.logits(X), y, np.ones(len(y)))
    return Rows(torch.tensor(np.ascontiguousarray(X.T)), y, left)


def compare(bank, clusters, seen, fresh, regions, columns, rng, n_jobs):
    """One line a ranking: agreement with the gain on fresh rows and on those seen."""
    n_all = bank.n_branches * bank.n_outputs**2
    judged = rng.permutation(n_all)[:N_JUDGED]
    judged = (judged + n_all * np.arange(len(regions))[:, None]).ravel()
    scores = {"random": rng.uniform(size=len(judged))}
    for ranking in ("distance", "capture", "gain"):
        found = propose_matches(
            bank, clusters, seen.features, seen.y, seen.residual, regions, columns,
            n_proposals=n_all, ranking=ranking, n_jobs=n_jobs,
        )  # fmt: skip
        number = candidate_number(bank, found, regions)
        score = np.full(n_all * len(regions), -np.inf)  # what is left out comes last
        score[number] = found.gain
        scores[ranking] = score[judged]
        if ranking == "capture":  # leaves nothing out
            candidates = found.take(np.argsort(number)[judged])
    on_fresh, on_seen = (true_gain(bank, candidates, rows) for rows in (fresh, seen))
    scores["all"] = on_seen
    return [
        {
            "rows": len(seen.y),
            "ranking": TITLES[ranking],
            "fresh": agreement(score, on_fresh, len(regions)),
            "seen": agreement(score, on_seen, len(regions)),
        }
        for ranking, score in scores.items()
    ]


def candidate_number(bank, candidates, regions):
    """Running number over regions, targets, branches and their classes."""
    shape = (len(regions), bank.n_outputs, bank.n_branches, bank.n_outputs)
    region = np.searchsorted(regions, candidates.region)
    index = (region, candidates.target, candidates.branch, candidates.branch_class)
    return np.ravel_multi_index(index, shape)


def true_gain(bank, candidates, rows):
    """Fall of the loss at the best of a few thresholds, without input bounds."""
    no_bound = np.full_like(candidates.lower, np.inf)
    candidates = replace(candidates, lower=-no_bound, upper=no_bound)
    gains = np.empty(len(candidates))
    for t in np.unique(candidates.target):
        ours = np.flatnonzero(candidates.target == t)
        for chunk in gen_batches(len(ours), 128):
            part = candidates.take(ours[chunk])
            gains[ours[chunk]] = best_gain(bank, part, rows, t)
    return gains


@torch.inference_mode()
def best_gain(bank, candidates, rows, t):
    outputs = FoldedBranches(bank, candidates).outputs(rows.features)
    best = np.zeros(len(candidates))
    for q in THRESHOLD_QUANTILES:
        rank = max(1, round(q * len(rows.y)))
        above = (outputs - outputs.kthvalue(rank, dim=1, keepdim=True).values).relu_()
        gain, _ = gain_and_step(above, above.square(), rows.residual, t)
        best = np.maximum(best, gain)
    return best


def agreement(score, gains, n_regions):
    """Rank correlation, best gain that two top shares keep, and what the top is worth.

    Means over regions of Spearman's correlation, of the best gain among the top 5 % and
    20 % over the best of all, and of the mean gain of the top 5 % over that of all.
    """
    figures = []
    by_region = (np.split(array, n_regions) for array in (score, gains))
    for s, g in zip(*by_region, strict=True):
        order = np.argsort(-s, kind="stable")
        top, fifth = order[: len(g) // 20], order[: len(g) // 5]
        kept = g[top].max() / g.max(), g[fifth].max() / g.max()
        figures.append([spearmanr(s, g).statistic, *kept, g[top].mean() / g.mean()])
    return [float(figure) for figure in np.mean(figures, axis=0)]


def report(lines, out):
    """Print the table, and write it with its figures where asked to."""
    table = [
        "# Which ranking of matched candidates finds those that lower the loss?",
        "",
        "Spearman correlation of each ranking with the gain on fresh rows, and how much",
        "of the best gain and of the mean gain its best 5 % hold. The last column is the",
        "same correlation on the rows that the ranking saw. By",
        "`examples/benchmarks/ranking.py`.",
        "",
        "| rows | ranking | spearman | best gain kept by top 5 % | by top 20 % "
        "| mean gain of top 5 % over all | spearman, rows seen |",
        "|---" * 7 + "|",
    ]
    for line in lines:
        rho, five, twenty, worth = line["fresh"]
        table.append(
            f"| {line['rows']} | {line['ranking']} | {rho:.2f} | {five:.0%} "
            f"| {twenty:.0%} | {worth:.2f} | {line['seen'][0]:.2f} |"
        )
    text = "\n".join(table) + "\n"
    print(text, end="")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "ranking.md").write_text(text)
        (out / "ranking.json").write_text(json.dumps(lines, indent=2) + "\n")


if __name__ == "__main__":
    main()
