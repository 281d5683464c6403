"""
What a branch has learned, and where it is used again
=====================================================

A grown network has no weights of its own on the new patches. It has branches that were
trained somewhere else. This page looks into one: to what input it answers high, and on
which patches growth has used it again.
"""

# sphinx_gallery_thumbnail_number = 3

# %%
# A grown network on digits
# -------------------------

from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from sklearn.datasets import load_digits

from skgrow import GrowingNAMClassifier, ImagePatches
from skgrow.growth.reuse.clustering import find_clusters

X, y = load_digits(return_X_y=True)
patches = ImagePatches((1, 8, 8), patch_size=3, stride=5)
nam = GrowingNAMClassifier(patches, matching="exhaustive", random_state=0)
nam.fit(X, y).grow(X, y, n_branches=60)

# %%
# What the branches have learned
# ------------------------------
#
# Points are drawn in the input box of a branch, and those to which one of its outputs
# answers highest are kept. Here is their mean, for the four branches and the ten outputs
# of each. Bright pixels are ink. The output of a branch for class 0 was trained to be
# high for zeros, in one corner of the image. It is high for a small pattern, which occurs
# elsewhere too.

clusters = find_clusters(nam.bank_, seed=0)
corners = ["upper left", "upper right", "lower left", "lower right"]
figure, axes = plt.subplots(4, 10, figsize=(9, 4.2), layout="constrained")
for b, row in enumerate(axes):
    for k, ax in enumerate(row):
        shown = ax.imshow(
            clusters.mean[b, k].reshape(3, 3), cmap="gray", vmin=-0.4, vmax=0.4
        )
        ax.set(xticks=[], yticks=[])
        if b == 0:
            ax.set_title(f"class {k}", fontsize=9)
    row[0].set_ylabel(corners[b], fontsize=9)
figure.colorbar(
    shown, ax=axes, label="mean input (−0.5: paper, 0.5: ink)", shrink=0.8, pad=0.02
)
figure.suptitle("Mean of the inputs with the highest output, 3 x 3 pixels")
plt.show()

# %%
# Where one of them is used again
# -------------------------------
#
# The branch with most uses, and the ten of its uses that may add most to a score. The
# background is the mean image of the target class of the use. The dashed square is where
# the branch was trained, the full one is what this use reads.

uses = nam.grown_branches_
number = np.bincount([use["branch"] for use in uses]).argmax()
loudest = sorted(
    (use for use in uses if use["branch"] == number),
    key=lambda use: -(use["scale"] + use["bias"]),
)[:10]


def frame(ax, columns, **look):
    top, left = np.divmod(min(columns), 8)
    ax.add_patch(Rectangle((left - 0.5, top - 0.5), 3, 3, fill=False, **look))


figure, axes = plt.subplots(2, 5, figsize=(9, 4.4), layout="constrained")
for ax, use in zip(axes.flat, loudest, strict=False):
    target = use["target_class"]
    ax.imshow(X[y == target].mean(axis=0).reshape(8, 8), cmap="gray")
    frame(ax, nam.bank_.regions[number], color="C0", linestyle="--", linewidth=2)
    frame(ax, use["region"], color="C1", linewidth=3)
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"output {use['branch_class']}\nfor class {target}", fontsize=10)
for ax in axes.flat[len(loudest) :]:
    ax.set_axis_off()
figure.suptitle(f"Ten uses of the branch trained at the {corners[number]}")
plt.show()

# %%
# The images that a use answers to
# --------------------------------
#
# A row is a use, with the six images to which it adds most: of the uses that have their
# patch to themselves for their class, the four of highest precision. ``precision`` is the
# share of the class among the fresh rows on which the use was active. It is far from 1
# as a rule, and need not be: a use has to raise its class where the score is too low, and
# the other terms add to the score too.

n_uses = Counter((tuple(use["region"]), use["target_class"]) for use in uses)
home = {tuple(region) for region in nam.bank_.regions.tolist()}
alone = [
    use
    for use in uses
    if n_uses[tuple(use["region"]), use["target_class"]] == 1
    and tuple(use["region"]) not in home
]
precise = sorted(alone, key=lambda use: -use["precision"])[:4]
added = nam.eval_terms(X)  # of all branches on a patch

figure, axes = plt.subplots(4, 6, figsize=(8, 6), layout="constrained")
for row, use in zip(axes, precise, strict=True):
    term = nam.term_features_.index(tuple(sorted(use["region"])))
    best = np.argsort(-added[:, term, use["target_class"]])[:6]
    for ax, i in zip(row, best, strict=True):
        ax.imshow(X[i].reshape(8, 8), cmap="gray")
        frame(ax, use["region"], color="C1", linewidth=2)
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"a {y[i]}", fontsize=9)
    row[0].set_ylabel(
        f"for class {use['target_class']}\nprecision {use['precision']:.2f}", fontsize=9
    )
figure.suptitle("The images to which four uses add most")
plt.show()

# %%
# Which patches, how often
# ------------------------
#
# Growth may use every patch. What it chose on these rows, by the upper left corner of
# the patch.

count = np.zeros((6, 6), dtype=int)
for use in uses:
    count[np.divmod(min(use["region"]), 8)] += 1
figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
shown = ax.imshow(count, cmap="Blues")
for row, column in np.ndindex(count.shape):
    dark = count[row, column] > count.max() / 2
    ax.text(column, row, count[row, column], ha="center", va="center",
            color="white" if dark else "black")  # fmt: skip
ax.set(xlabel="left edge of the patch (pixels)", ylabel="upper edge (pixels)")
ax.set_title(f"Uses of the 4 branches by patch, {len(uses)} in all")
figure.colorbar(shown, label="uses (number)")
plt.show()
