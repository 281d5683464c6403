"""Draw the figures of method.md: `python docs/figures.py`, about ten seconds.

Each shows the formula at work in a fitted network, computed by the package's own code.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits

from skgrow import GrowingNAMClassifier, ImagePatches
from skgrow.growth.reuse.clustering import find_clusters
from skgrow.growth.reuse.qualification import precision_bound
from skgrow.networks.branch_uses import FoldedBranches
from skgrow.networks.forward import features_major

IMAGES = Path(__file__).parent / "images"


def draw_clusters(branch=3, branch_class=0):
    """Output of one branch class over its input box, and its clusters."""
    X, y = load_breast_cancer(return_X_y=True)
    nam = GrowingNAMClassifier("pairs", max_iter=100, random_state=0).fit(X[:, :4], y)
    bank = nam.bank_
    side = np.linspace(-0.5, 0.5, 101)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    grid = np.zeros((len(points), 4))
    grid[:, bank.regions[branch]] = points
    output = bank.terms(grid)[:, branch, branch_class].reshape(101, 101)
    clusters = find_clusters(bank, seed=0)
    own = (clusters.branch == branch) & (clusters.branch_class == branch_class)
    centre = clusters.centre[own]
    figure, ax = plt.subplots(figsize=(5.4, 4.2), layout="constrained")
    shown = ax.imshow(output, origin="lower", extent=[-0.5, 0.5, -0.5, 0.5])
    kept = ax.contour(side, side, output, [np.quantile(output, 0.8)], colors="white")
    kept.set(linestyle="--")
    mean = clusters.mean[branch, branch_class]
    look = {"linestyle": "", "markeredgecolor": "white", "markersize": 10}
    ax.plot(*centre.T, marker="o", color="C1", label="centre of a cluster", **look)
    ax.plot(*mean, marker="P", color="C3", label="mean μ", **look)
    ax.plot([], [], "w--", label="20 % of highest output")
    ax.legend(loc="lower left", facecolor="0.35", labelcolor="white")
    figure.colorbar(shown, ax=ax, label="output of the branch class (logits)")
    ax.set(xlabel="first input (scaled)", ylabel="second input (scaled)")
    ax.set_title("Where one branch class answers high")
    save(figure, "method_clusters.png")


def draw_mask():
    """What a real grown branch adds against its output, and (16) through the dots."""
    X, y = load_digits(return_X_y=True)
    nam = GrowingNAMClassifier(ImagePatches((1, 8, 8), 3, stride=5), random_state=0)
    nam.fit(X, y).grow(X, y, 30)
    grown = nam._state.network.grown
    number = int(np.argmax((grown.scale > 0.5) & (grown.bias > 0.2)))
    one = grown.take([number])
    features = features_major(nam._state.inputs.scaler.transform(X))
    with torch.inference_mode():
        output = FoldedBranches(one.bank, one.uses).outputs(features)[0].numpy()
    added = one.runner().contributions(features)[0].numpy()
    is_target = y == one.uses.target[0]
    figure, ax = plt.subplots(figsize=(6.6, 3.8), layout="constrained")
    for rows, color, label in (~is_target, "0.6", "other rows"), (
        is_target, "C1", "rows of its class"
    ):  # fmt: skip
        ax.plot(output[rows], added[rows], ".", color=color, label=label)
    ax.axvline(one.uses.threshold[0], color="C0", linestyle="--", label="threshold θ")
    ax.set(xlabel="output y of the branch (logits)", ylabel="adds to its class (logits)")
    ax.set_title(f"One grown branch: a = {one.scale[0]:.2f}, b = {one.bias[0]:.2f}")
    ax.legend()
    save(figure, "method_mask.png")


def draw_bounds(prior=0.1, n_tested=4000, delta=0.05):
    """The precision that passes (13), by both forms of Hoeffding's bound."""
    n = np.geomspace(100, 100_000, 60)
    tried = np.linspace(prior, 1, 4000)
    passed = [precision_bound(tried, rows, n_tested, delta) > prior for rows in n]
    passes = [tried[np.argmax(precise_enough)] for precise_enough in passed]
    printed = prior + np.sqrt(np.log(n_tested / delta) / (2 * n))
    figure, ax = plt.subplots(figsize=(6.6, 3.8), layout="constrained")
    ax.plot(n, printed, "--", color="0.4", label="(2), (11), (12) as printed")
    ax.plot(n, passes, color="C0", label="theorem 1, precision_bound")
    ax.axhline(prior, color="0.7", linewidth=1, label="share of the class")
    ax.set_xscale("log")
    ax.set(xlabel="rows above the threshold", ylabel="precision that passes (share)")
    ax.set(ylim=(0, 0.4))
    ax.set_title(f"{n_tested:,} candidates, delta = {delta}, share {prior}")
    ax.legend()
    save(figure, "method_bounds.png")


def save(figure, name):
    figure.savefig(IMAGES / name, dpi=100)
    plt.close(figure)
    print(f"wrote {IMAGES / name}")


if __name__ == "__main__":
    draw_clusters()
    draw_mask()
    draw_bounds()
