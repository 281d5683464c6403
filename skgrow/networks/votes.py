"""Votes and class scores, formulas (10) and (17): transfer without training.

A branch votes for its target class where its output is above its threshold. The class of
highest standardised number of votes wins; nothing but one temperature is fitted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skgrow.networks.forward import features_major
from skgrow.networks.grown import GrownBranches
from skgrow.networks.row_scores import scores_in_chunks

__all__ = ["Electorate", "Tally"]

TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Tally:
    """What is known of the votes: sums over rows, so that more rows can be added.

    Attributes
    ----------
    class_weight : ndarray of shape (n_classes,)
        Weight of the rows of each class.
    counted : ndarray of shape (n_classes,)
        Weight of the rows on which the votes for a class were counted.
    total : ndarray of shape (n_classes,)
        Weighted sum of the class sums over these rows.
    square : ndarray of shape (n_classes,)
        Weighted sum of their squares.
    """

    class_weight: np.ndarray
    counted: np.ndarray
    total: np.ndarray
    square: np.ndarray

    @classmethod
    def of(cls, sums, y, sample_weight):
        """Count rows of class sums `(n_rows, n_classes)`."""
        weight = sample_weight.astype(np.float64)
        class_weight = np.bincount(y, weights=weight, minlength=sums.shape[1])
        wide = sums.astype(np.float64)
        counted = np.full(sums.shape[1], weight.sum())
        return cls(class_weight, counted, weight @ wide, weight @ wide**2)

    def __add__(self, other):
        return Tally(
            self.class_weight + other.class_weight,
            self.counted + other.counted,
            self.total + other.total,
            self.square + other.square,
        )

    def replaced(self, other, targets):
        """The same with the votes for `targets` as in another tally; all rows add up."""
        new = np.isin(np.arange(len(self.total)), targets)
        return Tally(
            self.class_weight + other.class_weight,
            np.where(new, other.counted, self.counted),
            np.where(new, other.total, self.total),
            np.where(new, other.square, self.square),
        )

    def spread_out(self, n_classes, place):
        """The same tally among more classes; class `i` is now number `place[i]`."""
        spread = np.zeros((4, n_classes))
        spread[:, place] = self.class_weight, self.counted, self.total, self.square
        return Tally(*spread)

    @property
    def mean(self):
        """Mean class sum `(n_classes,)`."""
        return self.total / np.maximum(self.counted, TINY)

    @property
    def std(self):
        """Standard deviation of the class sum `(n_classes,)`; 1 where nobody votes."""
        variance = self.square / np.maximum(self.counted, TINY) - self.mean**2
        # What rounding leaves of a class that always gets the same votes is not spread.
        constant = variance <= 1e-9 * np.maximum(self.mean**2, 1e-12)
        return np.sqrt(np.where(constant, 1.0, variance))

    @property
    def log_prior(self):
        """Log share `(n_classes,)` of each class among the rows; finite without rows."""
        share = self.class_weight / self.class_weight.sum()
        return np.log(np.maximum(share, TINY))


@dataclass(frozen=True)
class Electorate:
    """Branches that vote, and how their votes are counted.

    The score of a class is `(S - E[S]) / std[S]`, `S` being the number of its branches
    that are above their thresholds: formula (17) with the sum standardised instead of
    each vote. With weights `1 / std` on the votes it is (17) as printed. With the
    deviation pooled over classes, a vote for one class is worth as much as for another.

    Attributes
    ----------
    grown : GrownBranches
        `bias` is what a vote of the branch weighs, `scale` is 0.
    tally : Tally
    temperature : float
        Logits a unit of score: the one number that is fitted.
    standardise : {"pooled", "class", "vote"}
    cohort : ndarray of int64 of shape (n_classes,)
        Classes of equal number were there from the same election on; deviations are
        pooled over them, so that classes added later change no old score.
    nominees : GrownBranches
        Those that have passed the tests and may get a vote, or one more.
    """

    grown: GrownBranches
    tally: Tally
    temperature: float
    standardise: str
    cohort: np.ndarray
    nominees: GrownBranches

    @classmethod
    def empty(cls, bank, class_weight, standardise):
        """Nobody votes yet: every row has the log shares of the classes as logits."""
        tally = Tally(class_weight, *np.zeros((3, len(class_weight))))
        none = GrownBranches.empty(bank)
        cohort = np.zeros(len(class_weight), dtype=np.int64)
        return cls(none, tally, 1.0, standardise, cohort, none)

    def with_rows(self, y, sample_weight):
        """The same votes, with more rows counted into the shares of the classes."""
        none = np.zeros((len(y), len(self.tally.total)))
        seen = Tally.of(none, y, sample_weight).class_weight
        tally = replace(self.tally, class_weight=self.tally.class_weight + seen)
        return replace(self, tally=tally)

    def with_classes(self, n_classes, place):
        """The same votes among more classes; class `i` is now number `place[i]`."""
        grown, nominees = (
            replace(one, uses=replace(one.uses, target=place[one.uses.target]))
            for one in (self.grown, self.nominees)
        )
        tally = self.tally.spread_out(n_classes, place)
        cohort = np.full(n_classes, self.cohort.max() + 1)
        cohort[place] = self.cohort
        return replace(self, grown=grown, tally=tally, cohort=cohort, nominees=nominees)

    def misfits(self, n_columns, n_outputs):
        """Names of the parts that do not fit to so many columns and outputs."""
        grown, nominees, tally = self.grown, self.nominees, self.tally
        fits = {
            "grown": grown.fits(n_columns, n_outputs) and bool((grown.span > 0).all()),
            "nominees": nominees.fits(n_columns, n_outputs)
            and nominees.bank.dtype == grown.bank.dtype,
            "tally": tally.total.shape == (n_outputs,) and tally.class_weight.sum() > 0,
            "cohort": self.cohort.shape == (n_outputs,),
        }
        return [name for name, is_right in fits.items() if not is_right]

    @property
    def dtype(self):
        """What it computes in."""
        return self.grown.bank.dtype

    @property
    def n_parameters(self):
        """Numbers fitted: the temperature, once a branch votes."""
        return int(len(self.grown) > 0)

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row."""
        return self.grown.n_multiply_adds

    def class_sums(self, X, scaler, device="cpu"):
        """Weighted votes `(n_samples, n_classes)` of raw inputs, in chunks of rows."""
        n_classes = len(self.tally.total)
        if not len(self.grown):
            return np.zeros((len(X), n_classes), dtype=self.dtype)
        runner = self.grown.runner(device, n_classes)

        def score(X, scaled):
            return runner.logits(features_major(scaled, device)).T.cpu().numpy()

        return scores_in_chunks(score, X, scaler, n_classes, self.dtype, device)

    @property
    def deviation(self):
        """What the centred class sums are divided by, `(n_classes,)`."""
        std = self.tally.std
        if self.standardise == "pooled":
            for number in np.unique(self.cohort):
                own = self.cohort == number
                std[own] = np.sqrt(np.mean(std[own] ** 2))
        return std

    def logits_of_sums(self, sums):
        """Logits `(n_samples, n_classes)` of class sums, formula (17)."""
        scores = (sums - self.tally.mean) / self.deviation
        return (self.temperature * scores + self.tally.log_prior).astype(sums.dtype)

    def logits(self, X, scaler, device="cpu"):
        """Logits of raw inputs `X` (n_samples, n_features)."""
        return self.logits_of_sums(self.class_sums(X, scaler, device))
