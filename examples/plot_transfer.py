"""
Transfer: digits 0 to 4 vote on 5 to 9
======================================

Branches that were trained to tell the digits 0 to 4 apart are elected to vote on the
digits 5 to 9. No weight is trained for the new task; one number is fitted, the
temperature.
"""

# %%
# The source
# ----------

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgrow import ElectionTransferClassifier, GrowingNAMClassifier, ImagePatches

X, y = load_digits(return_X_y=True)
patches = ImagePatches((1, 8, 8), patch_size=3, stride=2)
source = GrowingNAMClassifier(patches, max_iter=50, random_state=0)
source.fit(X[y < 5], y[y < 5])
print(f"{source.bank_.n_branches} branches, trained on {(y < 5).sum()} images")

# %%
# The election
# ------------

X_train, X_test, y_train, y_test = train_test_split(
    X[y >= 5], y[y >= 5], test_size=0.4, stratify=y[y >= 5], random_state=0
)
counts = [5, 10, 20, 40, 80, 160]
scores = []
vote = ElectionTransferClassifier(source, patches, n_branches=5, random_state=0)
vote.fit(X_train, y_train)
for n_branches in counts:
    vote.grow(X_train, y_train, n_branches - vote.n_branches_)
    scores.append(vote.score(X_test, y_test))
vote

# %%
# Beside two others
# -----------------
#
# The *control* is the same election among branches that were never trained: the source
# after a single pass at a learning rate of almost nothing. How far it comes is what the
# search does by itself. On this small task it comes as far as the trained branches: what
# they have learned on 0 to 4 is no help here. On larger tasks it is, see :doc:`the
# benchmarks </tables/transfer>`, but there too the search does most of the work.
#
# Logistic regression on all 64 pixels is the simple thing to do. It is better here, and
# trains 325 numbers on the task.

control = GrowingNAMClassifier(
    patches, max_iter=1, learning_rate_init=1e-12, random_state=0
).fit(X[y < 5], y[y < 5])
untrained = ElectionTransferClassifier(control, patches, n_branches=5, random_state=0)
untrained.fit(X_train, y_train)
control_scores = []
for n_branches in counts:
    untrained.grow(X_train, y_train, n_branches - untrained.n_branches_)
    control_scores.append(untrained.score(X_test, y_test))

logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
logistic.fit(X_train, y_train)

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(counts, scores, "o-", label="branches trained on 0 to 4")
ax.plot(counts, control_scores, "s:", label="control: untrained branches")
ax.axhline(logistic.score(X_test, y_test), color="0.4", linestyle="--",
           label="logistic regression")  # fmt: skip
ax.set_xscale("log", base=2)
ax.set_xticks(counts, counts)
ax.set(xlabel="branches that vote", ylabel="test accuracy (share of rows)")
ax.set_title("Digits 5 to 9, by votes of branches from 0 to 4")
ax.legend(loc="lower right")
plt.show()

# %%
# Where the votes go wrong
# ------------------------

figure, ax = plt.subplots(figsize=(5, 4), layout="constrained")
ConfusionMatrixDisplay.from_estimator(vote, X_test, y_test, ax=ax, cmap="Blues")
ax.set(xlabel="elected class", ylabel="true class")
ax.set_title(f"{vote.n_branches_} votes, rows of the test set")
plt.show()
