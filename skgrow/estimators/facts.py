"""Facts of fitted models: properties that estimators take, each from the fitted state."""

from __future__ import annotations

from skgrow.networks.readout import Readout
from skgrow.runtime.surroundings import reads

__all__ = [
    "bank_",
    "classes_",
    "grown_branches_",
    "hidden_layer_sizes_",
    "loss_curve_",
    "n_branches_",
    "n_iter_",
    "n_training_multiply_adds_",
    "validation_curve_",
]


@property
def classes_(self):
    """Class labels, `(n_classes,)`, ascending."""
    return self._fitted().target.labels


@property
def loss_curve_(self):
    """Mean training loss of each pass, a list of float."""
    return list(self._fitted().history.loss_curve)


@property
def validation_curve_(self):
    """Loss of each pass on the rows held out by early stopping, a list of float."""
    return list(self._fitted().history.validation_curve)


@property
def n_iter_(self):
    """Passes over the training rows."""
    return self._fitted().history.n_iter


@property
def n_training_multiply_adds_(self):
    """Multiply-adds of all training so far."""
    return self._fitted().history.n_training_multiply_adds


@property
def hidden_layer_sizes_(self):
    """Units of each hidden layer now, residual blocks included."""
    return self._fitted().network.widths


@property
def bank_(self):
    """The base branches, a `BranchBank`."""
    return self._fitted().network.bank


@property
def n_branches_(self):
    """Number of grown branches."""
    return len(self._fitted().network.grown)


@property
@reads
def grown_branches_(self):
    """One record a grown branch: what is used where, for which class, and why.

    A list of dicts: region (columns in the order the branch reads them), branch,
    branch_class, target_class, threshold, span, scale, bias, precision, recall and
    bound (Hoeffding's lower bound of the precision). On another task, branch_class
    is the number of the source's output. With fitted votes: region, branch, branch_class,
    and weights (by class, in units of score; target_class is that of the largest).
    """
    state = self._fitted()
    network = state.network
    uses = network if isinstance(network, Readout) else network.grown
    return uses.records(
        state.target.output_names,
        getattr(self, "feature_names_in_", None),
        state.source_classes,
    )
