"""Pictures of a fitted network, with matplotlib (`pip install skgrow[plot]`).

Every display has `from_estimator`, which computes and draws, and `plot`, which draws
again, on axes of the user's if they are given.
"""

from __future__ import annotations

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skgrow.explain.growth_display import GrowthDisplay
from skgrow.explain.plot_texts import LONGEST_NAME, short_names
from skgrow.explain.region_display import RegionDisplay, new_axes
from skgrow.explain.term_display import TermDisplay

__all__ = ["GrowthDisplay", "ImportanceDisplay", "RegionDisplay", "TermDisplay"]


class ImportanceDisplay:
    """How much each term matters, as bars.

    Parameters
    ----------
    names : list of str
    importances : ndarray of shape (n_terms,)
        In logits, see `GrowingNAMClassifier.term_importances`.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgrow import GrowingNAMClassifier
    >>> from skgrow.plotting import ImportanceDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> nam = GrowingNAMClassifier("features", max_iter=5, random_state=0).fit(X, y)
    >>> display = ImportanceDisplay.from_estimator(nam, X, n_terms=3)
    >>> display.ax_.get_xlabel()
    'mean absolute contribution (logits)'
    """

    def __init__(self, names, importances):
        self.names = names
        self.importances = importances

    @classmethod
    def from_estimator(cls, estimator, X, *, sample_weight=None, n_terms=15, ax=None):
        """Draw the importances of a fitted network.

        Parameters
        ----------
        estimator : GrowingNAMClassifier
        X : array-like or DataFrame of shape (n_samples, n_features)
        sample_weight : array-like of shape (n_samples,), default=None
        n_terms : int, default=15
            Terms to draw, the most important ones.
        ax : matplotlib Axes, default=None

        Returns
        -------
        display : ImportanceDisplay
        """
        check_matplotlib_support("ImportanceDisplay")
        importances = estimator.term_importances(X, sample_weight)
        display = cls(estimator.term_names_, importances)
        return display.plot(ax=ax, n_terms=n_terms)

    def plot(self, ax=None, n_terms=15):
        """Draw the importances.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
        n_terms : int, default=15

        Returns
        -------
        display : ImportanceDisplay
        """
        self.ax_ = ax = new_axes(ax, "ImportanceDisplay")
        self.figure_ = ax.figure
        order = np.argsort(-self.importances, kind="stable")[:n_terms][::-1]
        names = short_names([self.names[i] for i in order], 2 * LONGEST_NAME)
        ax.barh(np.arange(len(order)), self.importances[order], color="C0")
        ax.set_yticks(np.arange(len(order)), names)
        ax.set_xlabel("mean absolute contribution (logits)")
        return self
