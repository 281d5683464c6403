"""Memory: what the verbs take above their input stays below what the docs state."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 2**20
FIXED = 16  # MiB: chunks, code that is loaded late, what allocators keep
N_VERIFIED, ROUND_SIZE, N_COLUMNS = 600, 10, 100

CHILD = f"""
import json, sys, warnings
import numpy as np
from skgrow import GrowingNAMClassifier

warnings.simplefilter("ignore")

def status(name):  # MiB, of this program alone
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(lines[name].split()[0]) / 1024

def above(work, *args):
    open("/proc/self/clear_refs", "w").write("5")  # the peak begins anew
    before = status("VmRSS")
    work(*args)
    return status("VmHWM") - before

def peaks(n_rows, n_branches, n_regions):
    rng = np.random.RandomState(0)
    X = rng.uniform(size=(n_rows, {N_COLUMNS})).astype(np.float32)
    y = (X[:, 0] > 0.4).astype(int) + (X[:, 1] > 0.5)
    nam = GrowingNAMClassifier(
        rng.randint({N_COLUMNS}, size=(n_branches, 2)),
        grow_regions=[[j % 10, j % 7] for j in range(n_regions)],
        matching="exhaustive", max_iter=1, search_rows=2000, n_verified={N_VERIFIED},
        round_size={ROUND_SIZE}, search_regions=n_regions, random_state=0,
    )
    return [above(nam.fit, X, y), above(nam.grow, X, y, 10), above(nam.predict, X)]

peaks(1000, 4, 4)  # libraries take memory of their own at first use
sizes = [(8000, 20, 10), (32_000, 20, 10), (8000, 80, 10), (8000, 20, 40)]
print(json.dumps([[size, peaks(*size)] for size in sizes]))
"""


def stated(n_rows, n_branches):
    """Bounds of fit, grow and predict, MiB, as docs/machines.md has them; float32."""
    rows = 4 * n_rows * N_COLUMNS
    base = 0.2 * n_branches + FIXED
    verified = (3 * N_VERIFIED + 5 * 500) * 4 * min(n_rows, 30_000)
    tuned = 5 * 4 * ROUND_SIZE * n_rows
    return (
        3 * rows / MIB + base,
        (3 * rows + verified + tuned) / MIB + base,
        base,
    )


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc"
)
def test_the_verbs_take_no_more_than_the_docs_state():
    # Freed arrays go back to the system at once, so that each peak is seen.
    environ = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        capture_output=True, text=True, check=True, env=environ,
    )  # fmt: skip
    for (n_rows, n_branches, n_regions), found in json.loads(done.stdout):
        print(n_rows, n_branches, n_regions, found, stated(n_rows, n_branches))
        for peak, bound in zip(found, stated(n_rows, n_branches), strict=True):
            assert peak < bound
