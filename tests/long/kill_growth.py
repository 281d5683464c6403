"""Kill a growing process at random moments, and see that nothing is lost.

    python tests/long/kill_growth.py --trials 50

Each trial starts `grow` with a checkpoint in a process of its own, kills it (SIGKILL)
after a random time, and loads the file it left, if it left one. When a process comes to
its end, its model must be that of an unbroken run, to the bit; the file is then deleted
and the next run begins. Prints the counts, and exits with 1 on any failure.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import skgrow
from skgrow import ElectionTransferClassifier, GrowingNAMClassifier, ImagePatches
from skgrow.files.persistence import digest

N_BRANCHES = 40


def rows_and_model(kind):
    """Digits, and a model that can grow: the same to the bit in every process."""
    X, y = load_digits(return_X_y=True)
    patches = ImagePatches((1, 8, 8), patch_size=3, stride=2)
    nam = GrowingNAMClassifier(
        patches, hidden_layer_sizes=(8, 8), max_iter=5, round_size=4, n_verified=300,
        search_regions=10, refit=kind == "refit", random_state=0,
        matching="both" if kind == "refit" else "exhaustive",
    )  # fmt: skip
    if kind in ("nam", "refit"):
        return X, y, nam.fit(X, y)
    vote = ElectionTransferClassifier(
        nam.fit(X[y < 5], y[y < 5]), patches, n_branches=4, round_size=4, n_verified=300,
        new_classes="add", search_regions=10, random_state=0,
        standardise="pooled" if kind == "vote" else "vote",
    )  # fmt: skip
    if kind == "vote":
        vote.set_params(n_branches=0)
        return X, y, vote.fit(X, y)
    return X, y, vote.fit(X[y < 8], y[y < 8])


def result_of(model):
    X, _ = load_digits(return_X_y=True)
    return digest(model._state.network, model.decision_function(X))


def grow(kind, path):
    """What the processes do that are killed."""
    X, y, model = rows_and_model(kind)
    print("ready", flush=True)
    model.grow(X, y, N_BRANCHES, checkpoint=path)
    print(result_of(model), flush=True)


def run_and_kill(kind, path, seconds):
    """The result of a process, or None when it was killed before its end."""
    command = [sys.executable, __file__, "--grow", kind, "--path", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    if process.stdout.readline() != "ready\n":
        raise RuntimeError("the growing process failed before it grew")
    try:
        out, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return None
    if process.returncode:
        raise RuntimeError(f"the growing process ended with {process.returncode}")
    return out.strip()


def trials(kind, n_trials, folder, random_state):
    """Numbers of files loaded, of runs that ended, and of failures."""
    path = Path(folder) / f"{kind}.safetensors"
    X, y, model = rows_and_model(kind)
    start = time.perf_counter()
    expected = result_of(model.grow(X, y, N_BRANCHES))
    whole = time.perf_counter() - start
    n_loaded = n_ended = n_failed = 0
    for _ in range(n_trials):
        result = run_and_kill(kind, path, random_state.uniform(0, 1.5 * whole))
        if path.exists():
            try:
                skgrow.load(path)
                n_loaded += 1
            except skgrow.ModelFileError as error:
                print(error)
                n_failed += 1
        if result is not None:
            n_ended += 1
            n_failed += result != expected
            path.unlink()
    return np.array([n_loaded, n_ended, n_failed])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--grow", help=argparse.SUPPRESS)
    parser.add_argument("--path", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.grow:
        return grow(options.grow, options.path)
    random_state = np.random.RandomState(options.seed)
    total = np.zeros(3, dtype=int)
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("nam", "vote"):
            total += trials(kind, -(-options.trials // 2), folder, random_state)
    n_loaded, n_ended, n_failed = total
    n_trials = 2 * -(-options.trials // 2)
    print(
        f"{n_trials} trials: {n_trials - n_ended} processes killed, {n_loaded} files "
        f"loaded, {n_ended} runs came to their end, {n_failed} failures"
    )
    return int(n_failed > 0)


if __name__ == "__main__":
    sys.exit(main())
