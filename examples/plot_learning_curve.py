"""
A learning curve beside an MLP
==============================

How many rows does it take? A network of four branches, the same network grown, and
scikit-learn's `MLPClassifier` with its defaults, on more and more rows of digits.
"""

# %%
# Three models
# ------------
#
# The MLP sees the whole image and trains 7,510 numbers. The base network sees four
# patches of 3 x 3 pixels and trains 1,800; grown, it has up to 70 more. So the MLP
# has every advantage here. The question is what growth adds to the base network.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, learning_curve
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgrow import GrowingNAMClassifier, GrowthStoppedWarning, ImagePatches

X, y = load_digits(return_X_y=True)
common = {
    "regions": ImagePatches((1, 8, 8), patch_size=3, stride=5),
    "matching": "exhaustive",
    "max_iter": 150,
    "random_state": 0,
}
models = {
    "base, 4 branches": GrowingNAMClassifier(**common),
    "grown by up to 30": GrowingNAMClassifier(**common, n_branches=30),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier(random_state=0)),
}

# %%
# The curves
# ----------
#
# Two halves of the data, each of which is learned from while the other one tests.

warnings.simplefilter("ignore", GrowthStoppedWarning)
warnings.simplefilter("ignore", ConvergenceWarning)
folds = StratifiedKFold(2, shuffle=True, random_state=0)
figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
for name, model in models.items():
    sizes, _, scores = learning_curve(
        model, X, y, cv=folds, train_sizes=[150, 400, 890]
    )
    (line,) = ax.plot(sizes, scores.mean(axis=1), "-", label=name)
    ax.plot(sizes, scores, "o", color=line.get_color(), alpha=0.6)
    print(f"{name:20s}", np.round(scores.mean(axis=1), 3))
ax.set(xlabel="rows to learn from", ylabel="accuracy on the other half (share of rows)")
ax.set_title("Digits: learning curves")
ax.legend(loc="lower right")
plt.show()
