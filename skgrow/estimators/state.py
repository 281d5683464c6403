"""What a fit leaves behind: one frozen object, which the next step replaces."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skgrow.growth.reuse.clustering import Clusters
from skgrow.inputs.encoder import InputEncoder
from skgrow.inputs.regions import Regions
from skgrow.networks.grown import Network
from skgrow.networks.perceptron import Perceptron
from skgrow.networks.readout import Readout
from skgrow.networks.votes import Electorate
from skgrow.training.targets import ClassTarget, NumberTarget

__all__ = ["FittedState", "History"]


@dataclass(frozen=True)
class History:
    """What training and growth have recorded.

    Attributes
    ----------
    growth : tuple of dict
        A record a round, or a growth.
    loss_curve, validation_curve : tuple of float
        Loss of each pass on training rows, and on rows held out.
    n_iter : int
        Passes over the training rows.
    n_training_multiply_adds : int
        Of a dense network, in all training so far.
    """

    growth: tuple = ()
    loss_curve: tuple = ()
    validation_curve: tuple = ()
    n_iter: int = 0
    n_training_multiply_adds: int = 0

    def trained(self, losses, validation_losses=(), n_multiply_adds=0):
        """After more passes, a loss for each."""
        return replace(
            self,
            loss_curve=(*self.loss_curve, *losses),
            validation_curve=(*self.validation_curve, *validation_losses),
            n_iter=self.n_iter + len(losses),
            n_training_multiply_adds=self.n_training_multiply_adds + n_multiply_adds,
        )

    def grown(self, record):
        """After one more round or growth."""
        return replace(self, growth=(*self.growth, record))


@dataclass(frozen=True)
class FittedState:
    """A fitted model, less its parameters. Its arrays are never changed in place.

    Attributes
    ----------
    inputs : InputEncoder
    target : ClassTarget or NumberTarget
    seed : int
        Drawn once in `fit`; all later draws follow from it.
    network : Network, Electorate, Readout or Perceptron
    regions : Regions or None
        What branches read, and what growth may use; None of a dense network.
    n_replicas : int
        Replicas of each base branch, one behind the other in the bank.
    clusters : Clusters or None
        None until a search has needed them.
    history : History
    source_classes : ndarray of int64 or None
        Of an election, what the outputs of the source's branches are called.
    unfinished : tuple or None
        A call of `grow` whose checkpoint has more to do, and the state it left.
    """

    inputs: InputEncoder
    target: ClassTarget | NumberTarget
    seed: int
    network: Network | Electorate | Readout | Perceptron
    regions: Regions | None = None
    n_replicas: int = 1
    clusters: Clusters | None = None
    history: History = History()
    source_classes: np.ndarray | None = None
    unfinished: tuple | None = None
