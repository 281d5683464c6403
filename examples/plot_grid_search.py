"""
A grid search over growth
=========================

How many branches should grow? `n_branches` is a parameter like any other, so a grid search
can say. With it in the constructor, `fit` trains on 70 % of the rows and grows on the
others.
"""

# %%
# The search
# ----------

import warnings

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split

from skgrow import GrowingNAMClassifier, GrowthStoppedWarning, ImagePatches

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.3, stratify=y, random_state=0
)
nam = GrowingNAMClassifier(
    ImagePatches((1, 8, 8), patch_size=3, stride=5),
    matching="exhaustive",
    max_iter=100,
    random_state=0,
)
search = GridSearchCV(
    nam, {"n_branches": [0, 15, 30]}, scoring="neg_log_loss", cv=3
)
with warnings.catch_warnings():  # growth may stop before 30
    warnings.simplefilter("ignore", GrowthStoppedWarning)
    search.fit(X_train, y_train)
search

# %%
# The choice
# ----------
#
# The mean loss of three folds; a bar is one standard deviation of them. The network of 0
# branches was trained on all rows of a fold, the others on 70 % of them.

found = pd.DataFrame(search.cv_results_)
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.errorbar(
    found["param_n_branches"].astype(int),
    -found["mean_test_score"],
    yerr=found["std_test_score"],
    fmt="o-",
    capsize=4,
)
ax.set(xlabel="branches to grow, `n_branches`", ylabel="loss in cross-validation (nats)")
ax.set_ylim(0, None)
ax.set_title("Growth chosen by cross-validation, digits")
plt.show()

best = search.best_estimator_
print(f"chosen: n_branches={search.best_params_['n_branches']}, grown {best.n_branches_}")
print(f"accuracy on the test rows: {best.score(X_test, y_test):.3f}")
