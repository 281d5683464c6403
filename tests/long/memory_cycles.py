"""Fit, grow, predict, save and load again and again; memory must stay where it is.

    python tests/long/memory_cycles.py --cycles 1000

Prints the resident memory after the warm-up (a tenth of the cycles, 20 at least) and
the most it grew after that, and exits with 1 when that is 20 MiB or more, or 2 MiB in
each 3 cycles.
"""

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np

import skgrow

MAX_GROWTH = 20.0  # MiB


def resident():
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cycle(seed, folder):
    """All verbs once, on data of this seed."""
    rng = np.random.RandomState(seed)
    X = rng.randn(300, 3)
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    nam = skgrow.GrowingNAMClassifier(
        "pairs", hidden_layer_sizes=(4,), max_iter=2, n_verified=50, random_state=seed
    ).fit(X, y)
    nam.grow(X, y, 3, checkpoint=Path(folder) / f"{seed % 2}")
    (Path(folder) / f"{seed % 2}").unlink(missing_ok=True)
    vote = skgrow.ElectionTransferClassifier(
        nam, "pairs", n_branches=3, n_verified=50, random_state=seed
    )
    vote.fit(X, y).partial_fit(X, y)
    skgrow.save(vote, Path(folder) / "vote")
    skgrow.load(Path(folder) / "vote").predict_proba(X)
    dense = skgrow.GrowingMLPClassifier((4,), max_iter=4, random_state=seed).fit(X, y)
    dense.grow(X, y, n_neurons=3).partial_fit(X, y)
    skgrow.save(dense, Path(folder) / "dense")
    skgrow.load(Path(folder) / "dense").predict_proba(X)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=1000)
    n_cycles = parser.parse_args().cycles
    n_warm = max(20, n_cycles // 10)
    most = start = 0.0
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", skgrow.GrowthStoppedWarning)
        for i in range(n_warm + n_cycles):
            cycle(i, folder)
            if i == n_warm - 1:
                start = resident()
            most = max(most, resident() - start) if i >= n_warm else 0.0
    print(
        f"{n_cycles} cycles: {start:.0f} MiB after {n_warm} cycles of warm-up, then at "
        f"most {most:.1f} MiB more"
    )
    return int(most >= min(MAX_GROWTH, 2 * n_cycles / 3))


if __name__ == "__main__":
    sys.exit(main())
