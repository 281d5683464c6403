"""
Growing on digits
=================

A network of four branches, each of which sees one patch of 3 x 3 pixels, is grown: its
branches are used again on other patches, at two trained parameters a use.
"""

# %%
# The data
# --------
#
# scikit-learn's handwritten digits: 8 x 8 pixels, ten classes. Test rows are set aside
# and used for the figures below only.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from skgrow import GrowingNAMClassifier, ImagePatches
from skgrow.plotting import GrowthDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, stratify=y, random_state=0
)

# %%
# The base network
# ----------------
#
# Stride 5 puts four patches on the image, one near each corner. The middle of the image
# is seen by no branch.

patches = ImagePatches((1, 8, 8), patch_size=3, stride=5)
nam = GrowingNAMClassifier(patches, round_size=5, random_state=0)
nam.fit(X_train, y_train)

# %%
# Growing, five branches at a time
# --------------------------------


def on_test_rows():
    proba = nam.predict_proba(X_test)
    return nam.n_branches_, nam.score(X_test, y_test), log_loss(y_test, proba)


steps = [on_test_rows()]
for _ in range(6):
    nam.grow(X_train, y_train, n_branches=5)
    steps.append(on_test_rows())
nam

# %%
# Accuracy and loss on the test rows. The dashed line is a network with a branch trained
# on each of the 36 patches, at nearly nine times the parameters.

full = GrowingNAMClassifier(
    ImagePatches((1, 8, 8), patch_size=3, stride=1), max_iter=50, random_state=0
)
full.fit(X_train, y_train)

branches, accuracy, loss = zip(*steps, strict=True)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
axes[0].plot(branches, accuracy, "o-", label=f"grown: {nam.n_parameters_:,} parameters")
axes[0].axhline(
    full.score(X_test, y_test),
    color="C1",
    linestyle="--",
    label=f"36 trained: {full.n_parameters_:,} parameters",
)
axes[0].set(xlabel="grown branches", ylabel="test accuracy (share of rows)")
axes[0].legend(loc="lower right")
axes[1].plot(branches, loss, "o-")
axes[1].axhline(log_loss(y_test, full.predict_proba(X_test)), color="C1", linestyle="--")
axes[1].set(xlabel="grown branches", ylabel="test loss (nats)", ylim=(0, None))
figure.suptitle("Four branches on digits, used again up to 30 times")
plt.show()

# %%
# What growth itself saw
# ----------------------
#
# It looked at the selection rows, which it was fitted on, and at rows that it held out
# to stop by. ``growth_history_`` has these numbers, and how many candidates were
# screened, tested and qualified.

display = GrowthDisplay.from_estimator(nam)
display.ax_.set_title("Loss after each round of growth")
plt.show()

for record in nam.growth_history_:
    print(
        f"round {record['round']}: {record['n_tested']} tested on fresh rows, "
        f"{record['n_qualified']} qualified, {record['n_branches']} branches"
    )
