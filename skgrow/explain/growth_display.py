"""GrowthDisplay: how the loss fell while a network grew."""

from __future__ import annotations

import numpy as np
from sklearn.utils._optional_dependencies import check_matplotlib_support

from skgrow.explain.region_display import new_axes

__all__ = ["GrowthDisplay"]


class GrowthDisplay:
    """Loss against the number of branches, or of a dense network against its passes.

    Parameters
    ----------
    history : list of dict
        `growth_history_` of an estimator.
    curves : dict of str to list of float, default=None
        Loss of each pass by its label, of a network that grows while it trains.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from skgrow.plotting import GrowthDisplay
    >>> history = [    # an estimator's `growth_history_` has more in each row
    ...     {"n_branches": 5, "loss": 0.4, "held_out_loss": 0.5},
    ...     {"n_branches": 10, "loss": 0.3, "held_out_loss": 0.4},
    ... ]
    >>> display = GrowthDisplay(history).plot()
    >>> display.ax_.get_ylabel()
    'loss (nats)'
    """

    def __init__(self, history, curves=None):
        self.history = history
        self.curves = curves

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
        """Draw how a network has grown.

        Parameters
        ----------
        estimator : estimator
            Any of this package, fitted.
        ax : matplotlib Axes, default=None

        Returns
        -------
        display : GrowthDisplay

        Raises
        ------
        ValueError
            If it has not grown.
        """
        check_matplotlib_support("GrowthDisplay")
        if not estimator.growth_history_:
            raise ValueError(
                f"this {type(estimator).__name__} has not grown yet; call grow first."
            )
        curves = None
        if "epoch" in estimator.growth_history_[0]:
            curves = {"training rows": estimator.loss_curve_}
            if estimator.validation_curve_:
                curves["held out"] = estimator.validation_curve_
        return cls(estimator.growth_history_, curves).plot(ax=ax)

    def plot(self, ax=None):
        """Draw the loss on the rows that growth used, and on those it held out.

        Of a dense network: on the rows it was trained on, a line for each growth.

        Parameters
        ----------
        ax : matplotlib Axes, default=None

        Returns
        -------
        display : GrowthDisplay
        """
        self.ax_ = ax = new_axes(ax, "GrowthDisplay")
        self.figure_ = ax.figure
        ax.set_ylabel("loss (nats)" if self.curves is None else "loss")
        (self._plot_rounds if self.curves is None else self._plot_passes)(ax)
        ax.legend(frameon=False)
        return self

    def _plot_passes(self, ax):
        for label, losses in self.curves.items():
            ax.plot(np.arange(1, len(losses) + 1), losses, label=label)
        for i, record in enumerate(self.history):
            label = None if i else f"growth by {record['how']}"
            ax.axvline(record["epoch"], color="0.7", linewidth=0.8, label=label, zorder=0)
        ax.set_xlabel("passes over the rows")
        last = self.history[-1]["n_parameters"]
        first = self.history[0]["n_parameters_before"]
        ax.set_title(f"{first:,} to {last:,} trained parameters", fontsize="medium")

    def _plot_rounds(self, ax):
        n_branches, taken_back = _branches_by_round(self.history)
        for key, label in (("loss", "selection rows"), ("held_out_loss", "held out")):
            ax.plot(n_branches, [r[key] for r in self.history], marker=".", label=label)
        if taken_back:
            kept = self.history[-1]["n_branches"]
            ax.axvline(kept, color="0.5", linestyle=":", label=f"kept: {kept}")
        ax.set_xlabel("grown branches")


def _branches_by_round(history):
    """Branches that each round ended with, and whether the last ones were taken back.

    The record of a round that took rounds back counts what was kept; its losses are
    those of all that it had.
    """
    n_branches = [record["n_branches"] for record in history]
    for i, record in enumerate(history):
        before = n_branches[i - 1] if i else 0
        if n_branches[i] < before:
            n_branches[i] = before + record["n_picked"]
    return n_branches, n_branches[-1] != history[-1]["n_branches"]
