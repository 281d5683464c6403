"""
A learning curve beside an MLP
==============================

How many rows does it take? A network of four branches, the same network grown on the
same rows, and scikit-learn's ``MLPClassifier`` with its defaults.
"""

# %%
# Three models
# ------------
#
# The MLP sees the whole image and trains 7,510 numbers. The base network sees four
# patches of 3 x 3 pixels and trains 1,800; grown, it has at most 70 more. So the MLP has
# every advantage. The question is what growth adds to the base network.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgrow import GrowingNAMClassifier, GrowthStoppedWarning, ImagePatches

warnings.simplefilter("ignore", GrowthStoppedWarning)  # with few rows it stops early
warnings.simplefilter("ignore", ConvergenceWarning)
X, y = load_digits(return_X_y=True)


def scores(seed, n_rows):
    """Accuracy of the three on 500 test rows."""
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=n_rows, test_size=500, stratify=y, random_state=seed
    )
    nam = GrowingNAMClassifier(
        ImagePatches((1, 8, 8), patch_size=3, stride=5),
        matching="exhaustive",
        max_iter=150,
        random_state=seed,
    )
    base = nam.fit(X_train, y_train).score(X_test, y_test)
    grown = nam.grow(X_train, y_train, n_branches=30).score(X_test, y_test)
    mlp = make_pipeline(StandardScaler(), MLPClassifier(random_state=seed))
    return base, grown, mlp.fit(X_train, y_train).score(X_test, y_test)


# %%
# The curves
# ----------
#
# Two splits and seeds: dots are runs, lines their means.

sizes = [150, 400, 1200]
found = np.array([[scores(seed, n_rows) for n_rows in sizes] for seed in range(2)])

names = ["base, 4 branches", "grown by up to 30", "MLPClassifier"]
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for model, name in enumerate(names):
    color = f"C{model}"
    ax.plot(sizes, found[:, :, model].mean(axis=0), color=color, label=name)
    ax.plot(sizes, found[:, :, model].T, "o", color=color, alpha=0.6)
    print(f"{name:20s}", found[:, :, model].mean(axis=0).round(3))
ax.set_xscale("log", base=2)
ax.set_xticks(sizes, sizes)
ax.minorticks_off()
ax.set(xlabel="rows to learn from", ylabel="test accuracy (share of rows)")
ax.set_title("Digits: learning curves")
ax.legend(loc="lower right")
plt.show()
