"""
A grid search over growth
=========================

How many branches should grow? ``n_branches`` is a parameter like any other, so a grid
search can choose it. With it in the constructor, ``fit`` trains on 70 % of the rows and
grows on the others.
"""

# %%
# A table
# -------
#
# Two pairs of columns act together, by whether their signs agree. The base network has a
# branch for the first pair, and none for the second.

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.model_selection import GridSearchCV, train_test_split

from skgrow import GrowingNAMClassifier, GrowthStoppedWarning

rng = np.random.RandomState(0)
X = rng.normal(size=(11_000, 6))
logit = 3 * np.sign(X[:, 0] * X[:, 1]) + 3 * np.sign(X[:, 2] * X[:, 4])
y = (rng.uniform(size=len(X)) < 1 / (1 + np.exp(-logit))).astype(int)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=2000, random_state=0)

# %%
# The search
# ----------

nam = GrowingNAMClassifier(
    hidden_layer_sizes=(9, 9),
    matching="exhaustive",
    max_iter=15,
    round_size=4,
    random_state=0,
)
search = GridSearchCV(nam, {"n_branches": [0, 4, 12]}, scoring="neg_log_loss", cv=3)
with warnings.catch_warnings():  # growth may stop before 12
    warnings.simplefilter("ignore", GrowthStoppedWarning)
    search.fit(X_train, y_train)
search

# %%
# The choice
# ----------
#
# Dots are the three folds, the line is their mean.

found = pd.DataFrame(search.cv_results_)
asked = found["param_n_branches"].astype(int)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(asked, -found["mean_test_score"], "-", color="C0", label="mean")
for fold in range(3):
    ax.plot(asked, -found[f"split{fold}_test_score"], "o", color="C0", alpha=0.5,
            label="a fold" if fold == 0 else None)  # fmt: skip
ax.set_xticks(asked)
ax.axhline(np.log(2), color="0.6", linestyle="--", label="a coin")
ax.set(xlabel="branches to grow (n_branches)", ylabel="loss in cross-validation (nats)")
ax.set_title("Growth chosen by cross-validation")
ax.legend()
plt.show()

best = search.best_estimator_
print(f"chosen: n_branches={search.best_params_['n_branches']}, grown {best.n_branches_}")
print(f"accuracy on the test rows: {best.score(X_test, y_test):.3f}")
