"""
Loading and saving
==================

A model goes into one file, from which it comes back to the bit. Growth can write such a
file after every round, and continues from it after a crash.
"""

# %%
# A file of a model
# -----------------

import json
import tempfile
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from safetensors import safe_open
from sklearn.datasets import load_digits

import skgrow
from skgrow import GrowingNAMClassifier, GrowthStoppedWarning, ImagePatches

X, y = load_digits(return_X_y=True)
nam = GrowingNAMClassifier(
    ImagePatches((1, 8, 8), patch_size=3, stride=5),
    matching="exhaustive",
    max_iter=50,
    round_size=10,
    random_state=0,
)
nam.fit(X[:900], y[:900])

scratch = tempfile.TemporaryDirectory()
folder = Path(scratch.name)
skgrow.save(nam, folder / "base.safetensors")
again = skgrow.load(folder / "base.safetensors")
print((again.predict_proba(X) == nam.predict_proba(X)).all())

# %%
# Any reader of safetensors opens it: numbers are arrays, the rest is JSON. Loading runs
# no code of the file.

with safe_open(folder / "base.safetensors", framework="numpy") as file:
    header = json.loads(file.metadata()["skgrow"])
    print({key: header[key] for key in ("format", "version")})
    print(len(file.keys()), "arrays")

# %%
# A run that breaks off
# ---------------------
#
# Two copies of the base network grow by 30 branches. One does so in peace. The other one
# is stopped after every round, as if the machine went down (``max_time`` does it here),
# and a new copy takes up its work from the checkpoint.

unbroken = skgrow.load(folder / "base.safetensors")
unbroken.grow(X[900:], y[900:], 30)

attempts = []
while not attempts or attempts[-1].n_branches_ < unbroken.n_branches_:
    model = skgrow.load(folder / "base.safetensors")
    model.set_params(max_time=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GrowthStoppedWarning)
        model.grow(X[900:], y[900:], 30, checkpoint=folder / "run.safetensors")
    attempts.append(model)

same = np.array_equal(attempts[-1].predict_proba(X), unbroken.predict_proba(X))
print(f"{len(attempts)} attempts; equal to the unbroken run to the bit: {same}")

# %%
# The two runs
# ------------


def history(model, key):
    return [record[key] for record in model.growth_history_]


figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(history(unbroken, "n_branches"), history(unbroken, "held_out_loss"),
        color="0.6", linewidth=6, label="unbroken")  # fmt: skip
for number, model in enumerate(attempts, 1):
    ax.plot(model.n_branches_, history(model, "held_out_loss")[-1], "o",
            color=f"C{number}", markersize=9, label=f"attempt {number}")  # fmt: skip
ax.set_xticks(history(unbroken, "n_branches"))
ax.set(xlabel="grown branches", ylabel="held-out loss (nats)")
ax.set_title("One run, and the same run in pieces")
ax.legend()
plt.show()

scratch.cleanup()
