"""Grow a small network on handwritten digits, in under a minute on 2 CPU cores.

Three networks on scikit-learn's digits, 8 x 8 pixels each:

- base: 4 branches, each of which sees one patch of 3 x 3 pixels, trained;
- grown: the same 4 branches, used again on other patches and for other classes at two
  trained parameters a use;
- full perception: 36 branches, one on every patch, all trained.

Run `python examples/quickstart.py`. It prints a table and saves a picture of growth.
The settings were chosen on rows split off the training rows, never on the test rows.
"""

import argparse
import re
from pathlib import Path
from time import perf_counter

from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from skgrow import GrowingNAMClassifier, ImagePatches

N_BRANCHES = 30  # to grow in all: on so few rows, more help little
STEP = 5  # so many a call of grow, to have points for the picture
ROOT = Path(__file__).parents[1]


def main(update_readme):
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.3, stratify=y, random_state=0
    )

    def describe(name, nam, seconds):
        return {
            "name": name,
            "branches": nam.n_branches_,
            "accuracy": nam.score(X_test, y_test),
            "loss": log_loss(y_test, nam.predict_proba(X_test)),
            "parameters": nam.n_parameters_,
            "multiply_adds": nam.n_multiply_adds_,
            "seconds": seconds,
        }

    print("Training the base network: 4 branches")
    start = perf_counter()
    nam = GrowingNAMClassifier(
        regions=ImagePatches((1, 8, 8), patch_size=3, stride=5),
        max_iter=200,
        random_state=0,
        verbose=1,
    )
    nam.fit(X_train, y_train)
    growth = [describe("base", nam, perf_counter() - start)]

    print(f"\nGrowing: {N_BRANCHES} more uses of these 4 branches")
    for _ in range(N_BRANCHES // STEP):
        nam.grow(X_train, y_train, n_branches=STEP)
        growth.append(describe("grown", nam, perf_counter() - start))

    print("\nTraining full perception: 36 branches")
    start = perf_counter()
    full = GrowingNAMClassifier(
        regions=ImagePatches((1, 8, 8), patch_size=3, stride=1),
        random_state=0,
        verbose=1,
    )
    full.fit(X_train, y_train)
    full = describe("full perception", full, perf_counter() - start)

    table = markdown_table([growth[0], growth[-1], full])
    print(f"\nOn {len(y_test)} test rows:\n\n{table}")
    if update_readme:
        write_table(ROOT / "README.md", table)
        save_picture(ROOT / "docs/images/quickstart_growth.png", growth, full)
    else:
        save_picture(Path("quickstart_growth.png"), growth, full)


def markdown_table(networks):
    lines = [
        "| | accuracy | log loss | trained parameters | multiply-adds a row | seconds |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for net in networks:
        name = net["name"]
        if net["branches"]:
            name += f" by {net['branches']} branches"
        lines.append(
            f"| {name} | {net['accuracy']:.3f} | {net['loss']:.3f} | "
            f"{net['parameters']:,} | {net['multiply_adds']:,} | {net['seconds']:.0f} |"
        )
    return "\n".join(lines)


def write_table(readme, table):
    between = r"(<!-- quickstart-table:begin -->\n).*(<!-- quickstart-table:end -->)"
    text = readme.read_text(encoding="utf-8")
    text = re.sub(between, rf"\g<1>{table}\n\g<2>", text, flags=re.DOTALL)
    readme.write_text(text, encoding="utf-8")


def save_picture(path, growth, full):
    try:
        import matplotlib
    except ModuleNotFoundError:
        print(
            '\nNo picture: matplotlib is missing. pip install "skgrow[plot]" brings it.'
        )
        return
    matplotlib.use("Agg")  # draws to a file, so no screen is needed
    from matplotlib import pyplot as plt

    plt.rcParams["font.size"] = 12
    figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
    panels = [("accuracy", "accuracy (share of rows)"), ("loss", "log loss (nats)")]
    added = [net["branches"] for net in growth]
    for ax, (key, title) in zip(axes, panels, strict=True):
        ax.plot(added, [net[key] for net in growth], "o-", color="C0")
        ax.plot(added, [full[key] for _ in added], "--", color="C1")
        for net, name, x, shift, side, color in (
            (growth[0], "base", added[0], (10, -4), "left", "C0"),
            (growth[-1], "grown", added[-1], (0, -44), "right", "C0"),
            (full, "full perception", added[-1], (0, 6), "right", "C1"),
        ):
            label = f"{name}: {net['parameters']:,} parameters"
            look = {"ha": side, "color": color, "textcoords": "offset points"}
            ax.annotate(label, (x, net[key]), xytext=shift, **look)
        ax.margins(y=0.12)
        ax.set(xlabel="branches added (number)", ylabel=f"test {title}")
        ax.grid(alpha=0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    print(f"\nPicture: {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--update-readme",
        action="store_true",
        help="write the table into README.md and the picture into docs/images",
    )
    main(parser.parse_args().update_readme)
