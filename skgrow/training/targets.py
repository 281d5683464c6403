"""What is predicted: classes or numbers, from labels to losses to answers.

A target is learned from `y` once, and holds all that differs between classifiers and
regressors: how labels become numbers, which loss they have, and what scores mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from skgrow.inputs.checks import check_labels
from skgrow.inputs.target import scaled_target, target_scale
from skgrow.training.losses import CROSS_ENTROPY, SQUARED_ERROR

__all__ = ["ClassTarget", "NumberTarget"]

DIRECTIONS = np.array(["down", "up"])


@dataclass(frozen=True)
class ClassTarget:
    """Classes: one output each, cross-entropy.

    Attributes
    ----------
    labels : ndarray of shape (n_classes,)
        Ascending.
    """

    labels: np.ndarray
    loss = CROSS_ENTROPY

    @classmethod
    def of(cls, y, sample_weight=None):
        """Learn the classes of `y`, or ValueError where it holds no classes."""
        check_classification_targets(y)
        return cls(np.unique(y))

    @property
    def n_outputs(self):
        """Outputs of a network: the classes."""
        return len(self.labels)

    @property
    def output_names(self):
        """Names of the outputs."""
        return self.labels

    def updated(self, y, sample_weight=None):
        """What later rows add to it: nothing."""
        return self

    def encoded(self, y, used, dtype):
        """Class numbers of the rows in use; labels of all rows must be known."""
        return check_labels(y, self.labels)[used]

    def check_varied(self, y, is_whole=True):
        """Raise ValueError unless encoded labels are of two classes or more.

        A part of the rows, as `partial_fit` gets it, may be of one class.
        """
        if len(self.labels) < 2:
            raise ValueError(
                "The number of classes has to be greater than one; got 1 class: "
                f"{self.labels.tolist()[0]!r}."
            )
        if is_whole and (y == y[0]).all():
            raise ValueError(
                "Rows of more than one class must have a positive weight; all are of "
                f"class {self.labels.tolist()[y[0]]!r}."
            )

    def smallest_share(self, y):
        """Of the rows of a class."""
        shares = np.bincount(y) / max(len(y), 1)
        return shares[shares > 0].min(initial=1.0)

    def first_intercept(self, y, weight):
        """Log shares of the classes, centred; each class has one row more."""
        shares = np.bincount(y, weights=weight, minlength=self.n_outputs) + 1
        intercept = np.log(shares / shares.sum())
        return intercept - intercept.mean()

    def contribution(self, scores):
        """Scores `(..., n_classes)`; of two classes the log-odds of the second."""
        return scores[..., 1] - scores[..., 0] if scores.shape[-1] == 2 else scores

    def level(self, intercept):
        """The intercept, as contributions are given."""
        return self.contribution(intercept)

    def named(self, contribution):
        """A contribution by class, or a float of two classes."""
        if np.ndim(contribution) == 0:
            return float(contribution)
        values = contribution.tolist()
        return dict(zip(self.labels.tolist(), values, strict=True))


@dataclass(frozen=True)
class NumberTarget:
    """Numbers: squared error in variances of the target.

    Attributes
    ----------
    mean, scale : float
        Weighted mean and standard deviation; a constant target has scale 0.
    n_outputs : {1, 2}, default=1
        With 2 a network has the outputs "down" and "up", and predicts the second less
        the first.
    """

    mean: float
    scale: float
    n_outputs: int = 1
    loss = SQUARED_ERROR

    @classmethod
    def of(cls, y, sample_weight=None, n_outputs=1):
        """Learn mean and deviation of `y`."""
        return cls(*target_scale(y, sample_weight), n_outputs)

    @property
    def output_names(self):
        """Names of the outputs."""
        return DIRECTIONS[-self.n_outputs :]

    def updated(self, y, sample_weight=None):
        """The same, with a deviation where the target was constant so far."""
        known = (self.mean, self.scale)
        return NumberTarget(*target_scale(y, sample_weight, known), self.n_outputs)

    def encoded(self, y, used, dtype):
        """Scaled numbers of the rows in use."""
        return scaled_target(y[used], (self.mean, self.scale), dtype)

    def check_varied(self, y, is_whole=True):
        """A constant target is learned too, but not from a single row.

        A part of the rows, as `partial_fit` gets it, may be one row.
        """
        if is_whole and len(y) < 2:
            raise ValueError(
                f"n_samples={len(y)} with a positive weight is too few; give at least 2."
            )

    def smallest_share(self, y):
        """Of the rows above or below their predictions, about."""
        return 0.5

    def first_intercept(self, y, weight):
        """The scaled target has a mean of 0."""
        return np.zeros(self.n_outputs)

    def contribution(self, scores):
        """Scores `(..., n_outputs)` in units of the target."""
        if self.n_outputs == 1:
            return scores[..., 0] * self.scale
        return (scores[..., 1] - scores[..., 0]) * self.scale

    def level(self, intercept):
        """Prediction without any term, in units of the target."""
        return float(self.mean + self.contribution(intercept))

    def named(self, contribution):
        """A contribution as a float."""
        return float(contribution)
