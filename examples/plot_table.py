"""
A table with an interaction
===========================

A made-up table with text and gaps, in which two pairs of columns act together. The base
network has a branch for one of these pairs. Growth finds the other one, by using branches
again that were trained on other columns.
"""

# sphinx_gallery_thumbnail_number = 2

# %%
# The table
# ---------
#
# Customers stay or leave. Town and membership act by themselves. Age and income act
# together: what counts is whether the two are on the same side. And so do income and
# distance. A twelfth of the ages is missing.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skgrow import GrowingNAMClassifier
from skgrow.plotting import ImportanceDisplay, TermDisplay

rng = np.random.default_rng(0)
n_rows = 6000
frame = pd.DataFrame(
    {
        "age": rng.uniform(18, 80, n_rows),
        "income": rng.lognormal(10, 0.5, n_rows),
        "town": rng.choice(["Bern", "Oslo", "Rome", "Turin", "Wells"], n_rows),
        "visits": rng.poisson(6, n_rows).astype(float),
        "distance": 1 + rng.exponential(9, n_rows),
        "member": rng.random(n_rows) < 0.5,
    }
)
old = np.where(frame["age"] > 50, 1, -1)
rich = np.where(frame["income"] > np.exp(10), 1, -1)
far = np.where(frame["distance"] > 7, 1, -1)
logit = 1.8 * old * rich + 1.8 * rich * far + 0.75 * frame["member"] - 0.6
logit += 1.2 * frame["town"].isin(["Bern", "Rome"])
stays = np.where(rng.random(n_rows) < 1 / (1 + np.exp(-logit)), "stays", "leaves")
frame.loc[rng.random(n_rows) < 1 / 12, "age"] = None

train, test = slice(0, 4000), slice(4000, None)
frame.head()

# %%
# The base network
# ----------------
#
# By default the pairs that look most promising have terms from the start, and nothing
# would be left here to grow. To see growth at work, this base has a curve for every
# column, and a branch for each pair of neighbours: age and income are a pair, income and
# distance are not.

neighbours = [[j, (j + 1) % frame.shape[1]] for j in range(frame.shape[1])]
nam = GrowingNAMClassifier(
    neighbours, grow_regions="pairs", curves=True,
    max_iter=30, round_size=5, refit=True, random_state=0,
)  # fmt: skip
nam.fit(frame[train], stays[train])
before = nam.score(frame[test], stays[test])
print(nam.term_names_)

# %%
# Growth
# ------
#
# It looks at all pairs. What it adds is a term of the network like any other.

nam.grow(frame[train], stays[train], n_branches=10)
after = nam.score(frame[test], stays[test])
print(f"test accuracy {before:.3f} before, {after:.3f} after growth")
nam

# %%
# Which terms matter
# ------------------
#
# After growth the two largest terms are the two pairs that the table was made with.

figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
ImportanceDisplay.from_estimator(nam, frame[train], n_terms=8, ax=ax)
ax.set_title("The eight terms that matter most, after growth")
plt.show()

# %%
# Where the new term comes from: each record names the branch that is used, and the
# columns it was trained on.

for use in nam.grown_branches_:
    if set(use["region"]) == {"income", "distance"}:
        trained_on = frame.columns[nam.bank_.regions[use["branch"]]].tolist()
        print(f"{use['region']} raises {use['target_class']!r}, trained on {trained_on}")

# %%
# What the terms look like
# ------------------------
#
# Logits that each adds to the score of "stays". The quadrants of the pairs are those
# that the table was made with, at an age of 50, an income of 22,000 and a distance of 7.

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
for ax, pair in zip(axes, ["age & income", "income & distance"], strict=True):
    TermDisplay.from_estimator(nam, frame[train], pair, n_points=16, ax=ax)
axes[0].set_title("a branch of the base network, and growth")
axes[1].set_title("growth alone")
plt.show()

# %%
# A column of text has bars, and the missing ages have a line of their own.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
TermDisplay.from_estimator(nam, frame[train], "town", ax=axes[0])
axes[0].set_title("a column of text")
TermDisplay.from_estimator(nam, frame[train], "age", ax=axes[1])
axes[1].set_title("a column with gaps")
plt.show()
