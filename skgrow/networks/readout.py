"""A readout: class scores that are a fitted linear function of outputs of branches.

The output of each use of a branch is taken as it is, without a threshold, and has one
weight for every class. The weights come from `training/ridge_head.py`; the branches are
those of another task, and stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from skgrow.networks.branch_uses import FoldedBranches, count_trunks, trunk_chunks
from skgrow.networks.forward import Scratch, features_major, own_tensor
from skgrow.networks.grown import GrownBranches
from skgrow.networks.row_scores import scores_in_chunks
from skgrow.networks.value_sums import ValueSums

__all__ = ["Readout", "UseRunner"]

TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class Readout:
    """Uses of branches, and a weight of each for every class.

    The score of a class is `values @ weights + intercept`: an estimate of its indicator
    less the share of the class. Logits are `temperature * score + log(share)`.

    Attributes
    ----------
    grown : GrownBranches
        The uses; their masks and proofs are empty numbers here.
    weights : ndarray of shape (n_uses, n_classes)
    intercept : ndarray of shape (n_classes,)
    temperature : float
        Logits a unit of score.
    error : float
        Mean squared error of the scores by generalised cross-validation, when the
        temperature was fitted: it is scaled by what the error has become.
    sums : ValueSums
        Of the rows that the weights were fitted on, so that more rows can be added.
    """

    grown: GrownBranches
    weights: np.ndarray
    intercept: np.ndarray
    temperature: float
    error: float
    sums: ValueSums

    @classmethod
    def empty(cls, bank, class_weight):
        """No use yet: every row has the log shares of the classes as logits."""
        n_classes = len(class_weight)
        weights = np.zeros((0, n_classes), dtype=bank.dtype)
        intercept = np.zeros(n_classes, dtype=bank.dtype)
        sums = replace(ValueSums.none(n_classes, 0), class_weight=class_weight)
        return cls(GrownBranches.empty(bank), weights, intercept, 1.0, 1.0, sums)

    def misfits(self, n_columns, n_outputs):
        """Names of the parts that do not fit to so many columns and outputs."""
        n_uses = len(self.grown)
        fits = {
            "grown": self.grown.fits(n_columns, n_outputs),
            "weights": self.weights.shape == (n_uses, n_outputs)
            and self.weights.dtype == self.dtype,
            "intercept": self.intercept.shape == (n_outputs,)
            and self.intercept.dtype == self.dtype,
            "sums": self.sums.fits(n_outputs, n_uses) and self.sums.weight > 0,
        }
        return [name for name, is_right in fits.items() if not is_right]

    @property
    def dtype(self):
        """What it computes in."""
        return self.grown.bank.dtype

    @property
    def n_parameters(self):
        """Numbers fitted: a weight for each use and class, intercepts, temperature."""
        if not len(self.grown):
            return 0
        return self.weights.size + len(self.intercept) + 1

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row: trunks, outputs and weights."""
        outputs = count_trunks(self.grown.uses)[1]
        return (
            self.grown.n_multiply_adds - len(self.grown) + outputs * len(self.intercept)
        )

    def with_classes(self, n_classes, place):
        """The same among more classes, of weight 0; class `i` is now `place[i]`."""
        weights = np.zeros((len(self.weights), n_classes), dtype=self.dtype)
        intercept = np.zeros(n_classes, dtype=self.dtype)
        weights[:, place], intercept[place] = self.weights, self.intercept
        sums = self.sums.with_classes(n_classes, place)
        uses = replace(self.grown.uses, target=place[self.grown.uses.target])
        grown = replace(self.grown, uses=uses)
        return replace(self, grown=grown, weights=weights, intercept=intercept, sums=sums)

    def take(self, index):
        """With the uses at a slice alone, and no sums of them."""
        grown, weights = self.grown.take(index), self.weights[index]
        sums = ValueSums.none(len(self.intercept), len(grown))
        sums = replace(sums, class_weight=self.sums.class_weight)
        return replace(self, grown=grown, weights=weights, sums=sums)

    def records(self, classes, feature_names, source_classes=None):
        """One dict a use: what is read where, and its weight for each class."""
        named = classes if source_classes is None else source_classes
        uses = self.grown.uses
        columns = uses.columns if feature_names is None else feature_names[uses.columns]
        labels = classes.tolist()
        arrays = {
            "region": columns.tolist(),
            "branch": uses.branch.tolist(),
            "branch_class": named[uses.branch_class].tolist(),
            "target_class": classes[uses.target].tolist(),
            "weights": [
                dict(zip(labels, row, strict=True)) for row in self.weights.tolist()
            ],
        }
        return [
            dict(zip(arrays, values, strict=True))
            for values in zip(*arrays.values(), strict=True)
        ]

    def logits_of_scores(self, scores):
        """Logits `(n_rows, n_classes)` of centred scores."""
        log_share = np.log(np.maximum(self.sums.share, TINY))
        return (self.temperature * scores + log_share).astype(scores.dtype)

    def logits(self, X, scaler, device="cpu"):
        """Logits of raw inputs `X` (n_samples, n_features), in chunks of rows."""
        n_classes = len(self.intercept)
        runner = UseRunner(self.grown, device, self.weights)

        def score(X, scaled):
            found = runner.sums(features_major(scaled, device)).T.cpu().numpy()
            return found + self.intercept

        scaler = scaler if len(self.grown) else None
        if scaler is None:
            scores = np.zeros((len(X), n_classes), dtype=self.dtype)
        else:
            scores = scores_in_chunks(score, X, scaler, n_classes, self.dtype, device)
        return self.logits_of_scores(scores)


class UseRunner:
    """Uses of branches made ready to run, in chunks of uses and rows.

    Parameters
    ----------
    grown : GrownBranches
    device : str, default="cpu"
    weights : ndarray of shape (n_uses, n_classes), default=None
        For `sums`.
    """

    def __init__(self, grown, device="cpu", weights=None):
        self.n_uses = len(grown)
        self.n_classes = 0 if weights is None else weights.shape[1]
        self.chunks, scratch = [], Scratch()
        for own in trunk_chunks(grown.uses):
            folded = FoldedBranches(grown.bank, grown.uses.take(own), device, scratch)
            by_output = np.zeros((self.n_classes, folded.n_outputs), grown.bank.dtype)
            if weights is not None:
                np.add.at(by_output.T, folded.output, weights[own])
            self.chunks.append((own, folded, own_tensor(by_output, device)))

    @torch.inference_mode()
    def values(self, features):
        """Output of each use, an ndarray `(n_rows, n_uses)`.

        Parameters
        ----------
        features : Tensor of shape (n_features + 1, n_rows)
            Scaled inputs, see `forward.features_major`.
        """
        found = features.new_empty((self.n_uses, features.shape[1]))
        for own, folded, _ in self.chunks:
            own = torch.as_tensor(own, device=features.device)
            for rows in folded.chunks(features.shape[1]):
                found[own, rows] = folded.outputs(features[:, rows])
        return found.T.cpu().numpy()

    @torch.inference_mode()
    def sums(self, features):
        """Weighted sums of the outputs, a Tensor `(n_classes, n_rows)`."""
        total = features.new_zeros((self.n_classes, features.shape[1]))
        for _, folded, weights in self.chunks:
            for rows in folded.chunks(features.shape[1]):
                outputs = folded.every_output(features[:, rows])
                total[:, rows].addmm_(weights, outputs)
        return total
