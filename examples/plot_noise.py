"""
Growth on noise stops
=====================

A search that looks at thousands of candidates always finds some that look good. Growth
therefore tests them on rows that the search has not seen. On labels that are pure noise,
next to nothing should pass.
"""

# %%
# True labels, and the same labels shuffled
# -----------------------------------------
#
# A base network is trained on the first part of the digits. Growth then gets fresh rows,
# five times with their labels and five times with labels that were shuffled among them.
# It is asked for 40 branches each time.

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_digits

from skgrow import GrowingNAMClassifier, GrowthStoppedWarning, ImagePatches

X, y = load_digits(return_X_y=True)
nam = GrowingNAMClassifier(
    ImagePatches((1, 8, 8), patch_size=3, stride=5),
    matching="exhaustive",
    max_iter=20,
)
messages, first_rounds = [], {"true labels": [], "shuffled labels": []}
for seed in range(5):
    rng = np.random.RandomState(seed)
    order = rng.permutation(len(y))
    base, fresh = order[:600], order[600:]
    for kind, found in first_rounds.items():
        labels = y.copy()
        if kind == "shuffled labels":
            labels = rng.permutation(labels)
        grown = clone(nam).set_params(random_state=seed).fit(X[base], labels[base])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", GrowthStoppedWarning)
            grown.grow(X[fresh], labels[fresh], n_branches=40)
        first = grown.growth_history_[0]
        found.append((first["n_tested"], first["n_qualified"], grown.n_branches_))
        messages += [f"{kind}: {warning.message}" for warning in caught]

# %%
# Growth says why it stopped:

print(*[text for text in messages if "shuffled" in text][:3], sep="\n")

# %%
# What passed
# -----------
#
# Every dot is a run, with a little noise to the side so that dots do not hide each
# other. ``delta=0.05`` bounds the chance that *any* branch passes the test of its
# precision, condition (13), by chance.

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
rng = np.random.RandomState(0)
for i, found in enumerate(first_rounds.values()):
    n_tested, n_qualified, n_grown = np.array(found).T
    side = i + rng.uniform(-0.12, 0.12, len(found))
    axes[0].plot(side, n_qualified, "o", color=f"C{i}", alpha=0.7)
    axes[1].plot(side, n_grown, "o", color=f"C{i}", alpha=0.7)
    print(f"{list(first_rounds)[i]}: {n_tested.sum()} tested, {n_qualified.sum()} passed")
titles = ("candidates that qualified in round 1", "branches grown in all")
for ax, title in zip(axes, titles, strict=True):
    ax.set_xticks([0, 1], list(first_rounds))
    ax.set(xlim=(-0.5, 1.5), ylabel=f"{title} (number)")
    ax.grid(axis="y", alpha=0.3)
figure.suptitle("Five runs each: growth on labels, and on noise")
plt.show()
