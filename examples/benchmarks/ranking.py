"""What finds the candidates that lower the loss: which ranking, on how many rows?

Trains a small base network, tries its branches on a few growth regions, as they are and
matched by clusters, and compares the order each ranking puts the candidates in with
their gain on fresh rows.

    python examples/benchmarks/ranking.py --quick
    python examples/benchmarks/ranking.py --data DIR --output results

`DIR` holds a `load.py` whose `load_images("cifar10")` returns `X_train, y_train,
X_test, y_test`, images as rows of 3 * 32 * 32 values. `--quick` needs no data: it uses
scikit-learn's digits. The full run takes about five minutes on two cores.
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
from skgrow.growth.reuse.clustering import find_clusters
from skgrow.growth.reuse.gains import Scorer
from skgrow.growth.reuse.matching import propose_matches
from skgrow.growth.reuse.screening import screen_folded
from skgrow.inputs.scaling import fit_scaler
from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import Candidates
from skgrow.networks.forward import features_major
from skgrow.training.bank_training import TrainingData, TrainingPlan, train_bank
from skgrow.training.losses import CROSS_ENTROPY, Residual

TITLES = {
    "random": "random",
    "distance": "-D, formula (15)",
    "capture": "captured row weights",
    "gain": "gain on the ranking rows (skgrow)",
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


QUICK = Setting(ImagePatches((1, 8, 8), 3, 2), 6, 30, 64, (200, 800), 800)
FULL = Setting(ImagePatches((3, 32, 32), 3, 6), 4, 8, 256, (400, 4000, 16_000), 14_000)
MAX_NEIGHBOUR_ROWS = 4000  # rankings by neighbours take a minute a region on more
N_JUDGED = 750  # matched candidates of a region whose gain is computed, drawn at random


@dataclass(frozen=True)
class Rows:
    """Labelled rows, features-major, with the residual at the base network."""

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
        lines.append(compare_plain(bank, seen, fresh, growth[regions]))
        job = (bank, clusters, seen, fresh, regions, growth[regions], rng)
        lines += compare_matched(*job, args.n_jobs)
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
    columns = setting.patches.base_columns
    state = np.random.RandomState(0)
    bank = BranchBank.random(columns, (9, 9, 9, 9), n_classes, state, X.dtype)
    offset = np.zeros((1, n_classes), dtype=X.dtype)
    data = TrainingData(X, y, np.ones(len(y)), offset)
    plan = TrainingPlan(setting.n_epochs, setting.batch_size, learning_rate=4e-3)
    return train_bank(bank, data, plan)[0]


def make_rows(bank, X, y, where):
    X, y = X[where], y[where]
    left = CROSS_ENTROPY.residual(bank.logits(X), y, np.ones(len(y)))
    return Rows(features_major(X), y, left)


def compare_plain(bank, seen, fresh, columns):
    """Every output of every branch on every region, as it is, ranked by gain."""
    branch, branch_class = (
        i.ravel() for i in np.indices((bank.n_branches, bank.n_outputs))
    )
    scores, gains = [], []
    for where in columns:
        repeated = np.tile(where, (len(branch), 1))
        plain = Candidates.plain(branch, repeated, branch, branch_class, bank.dtype)
        scores.append(gain_on(bank, plain, seen))
        gains.append(gain_on(bank, plain, fresh))
    return line(seen, "plain", "gain", scores, gains)


def compare_matched(bank, clusters, seen, fresh, regions, columns, rng, n_jobs):
    """One line a ranking of the matched candidates."""
    n_all = bank.n_branches * bank.n_outputs**2
    judged = rng.permutation(n_all)[:N_JUDGED]
    judged = (judged + n_all * np.arange(len(regions))[:, None]).ravel()
    scores = {"random": rng.uniform(size=len(judged))}
    few = len(seen.y) <= MAX_NEIGHBOUR_ROWS
    for ranking in ("distance", "capture") if few else ("distance",):
        rows = seen if few else first(seen, MAX_NEIGHBOUR_ROWS // 10)  # maps alone
        found = propose_matches(
            bank, clusters, rows.features, rows.y, rows.residual, regions, columns,
            n_proposals=n_all, ranking=ranking, n_jobs=n_jobs,
        )  # fmt: skip
        order = np.argsort(candidate_number(bank, found, regions))[judged]
        candidates = found.take(order)
        if few:
            scores[ranking] = candidates.gain
    no_bound = np.full_like(candidates.lower, np.inf)
    candidates = replace(candidates, lower=-no_bound, upper=no_bound)
    scores["gain"] = gain_on(bank, candidates, seen)
    gains = np.split(gain_on(bank, candidates, fresh), len(regions))
    return [
        line(seen, "matched", ranking, np.split(score, len(regions)), gains)
        for ranking, score in scores.items()
    ]


def first(rows, n):
    return Rows(rows.features[:, :n], rows.y[:n], rows.residual.take(slice(0, n)))


def candidate_number(bank, candidates, regions):
    """Running number over regions, targets, branches and their classes."""
    shape = (len(regions), bank.n_outputs, bank.n_branches, bank.n_outputs)
    region = np.searchsorted(regions, candidates.region)
    index = (region, candidates.target, candidates.branch, candidates.branch_class)
    return np.ravel_multi_index(index, shape)


def gain_on(bank, candidates, rows):
    """Fall of the loss for the best class, the mean output being the threshold."""
    scorer = Scorer(rows.residual)
    gains = [
        screen_folded(bank, candidates.take(chunk), rows.features, scorer)[0]
        for chunk in gen_batches(len(candidates), 128)
    ]
    return np.concatenate(gains).max(axis=1)


def line(seen, kind, ranking, scores, gains):
    """Rank correlation, and what the best by the ranking gain; means over regions."""
    figures = []
    for s, g in zip(scores, gains, strict=True):
        order = np.argsort(-s, kind="stable")
        top = g[order[: len(g) // 20]]
        figures.append([spearmanr(s, g).statistic, g.mean(), top.mean(), top.max()])
    names = ("spearman", "mean_gain", "mean_gain_of_top", "best_gain_of_top")
    means = dict(zip(names, np.mean(figures, axis=0).tolist(), strict=True))
    return {"rows": len(seen.y), "candidates": kind, "ranking": TITLES[ranking], **means}


def report(lines, out):
    """Print the table, and write it with its figures where asked to."""
    table = [
        "# What finds the candidates that lower the loss?",
        "",
        "Of each region's candidates, as they are (plain) or matched by clusters, the",
        "5 % that a ranking puts first: their gain on fresh rows, in 1e-4 nats, and the",
        "rank correlation of the ranking with that gain over all candidates. Means over",
        "regions. By `examples/benchmarks/ranking.py`.",
        "",
        "| rows to rank by | candidates | ranking | spearman | mean gain of all "
        "| mean gain of top 5 % | best gain in top 5 % |",
        "|---" * 7 + "|",
    ]
    table += [
        f"| {one['rows']:,} | {one['candidates']} | {one['ranking']} "
        f"| {one['spearman']:.2f} | {1e4 * one['mean_gain']:.2f} "
        f"| {1e4 * one['mean_gain_of_top']:.2f} "
        f"| {1e4 * one['best_gain_of_top']:.2f} |"
        for one in lines
    ]
    text = "\n".join(table) + "\n"
    print(text, end="")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "ranking.md").write_text(text)
        (out / "ranking.json").write_text(json.dumps(lines, indent=2) + "\n")


if __name__ == "__main__":
    main()
