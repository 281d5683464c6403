"""Shared by all tests: no window opens, no test changes global state."""

import os

# Before anything imports matplotlib.
os.environ["MPLBACKEND"] = "Agg"
# Workers that test side by side share the cores: one thread each, and where a test asks
# for two, one that waits sleeps and does not take a core from the other worker.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

# Torch gives many of its warnings once a process; then a fault would fail whichever
# test meets it first, and no other.
torch.set_warn_always(True)

# The same examples on every run; `--hypothesis-profile=long` draws new ones.
slow = {"deadline": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("ci", max_examples=15, derandomize=True, database=None, **slow)
settings.register_profile("long", max_examples=1000, print_blob=True, **slow)
settings.load_profile("ci")


def _global_state():
    name, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "numpy's random state": (name, keys.tobytes(), position, has_gauss, gauss),
        "torch's random state": torch.get_rng_state().numpy().tobytes(),
        "torch's thread count": torch.get_num_threads(),
    }


@pytest.fixture(autouse=True)
def global_state_unchanged(request):
    """Fail a test that leaves random state or thread counts changed (law 8)."""
    before = _global_state()
    yield
    if request.node.get_closest_marker("changes_global_state") is None:
        after = _global_state()
        changed = [name for name, value in before.items() if after[name] != value]
        assert not changed, f"the test changed {' and '.join(changed)}"
