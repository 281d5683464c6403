"""Fitted states by the names that files have, and back.

The names are older than `FittedState`, and files of every version have them.
"""

from __future__ import annotations

from skgrow.estimators.state import FittedState, History
from skgrow.exceptions import ModelFileError
from skgrow.inputs.encoder import InputEncoder
from skgrow.networks.grown import Network
from skgrow.networks.perceptron import Perceptron
from skgrow.networks.readout import Readout
from skgrow.networks.votes import Electorate
from skgrow.training.targets import ClassTarget, NumberTarget

__all__ = ["pack", "unpack"]

# What scikit-learn sets itself, on the estimator.
ON_ESTIMATOR = ("n_features_in_", "feature_names_in_")
COMMON = {"n_features_in_", "growth_history_", "_network", "_scaler", "_seed"}
CURVES = {"loss_curve_", "validation_curve_", "n_iter_"}
# Of each estimator its network, its outputs for a number, and the least of its fields.
KINDS = {
    "GrowingNAMClassifier": (Network, None, CURVES | {"classes_", "_regions"}),
    "GrowingNAMRegressor": (Network, 2, CURVES | {"_target", "_regions"}),
    "ElectionTransferClassifier": (
        (Electorate, Readout),
        None,
        {"classes_", "_regions", "_source_classes"},
    ),
    "GrowingMLPClassifier": (Perceptron, None, CURVES | {"classes_"}),
    "GrowingMLPRegressor": (Perceptron, 1, CURVES | {"_target"}),
}
# Of some kinds of network only.
OWN = {"_n_replicas": Network, "n_training_multiply_adds_": Perceptron}


def pack(model):
    """The fitted state of a model as a dict, by the names of `schema.FITTED`."""
    fields = {name: vars(model)[name] for name in ON_ESTIMATOR if name in vars(model)}
    state = vars(model).get("_state")
    if state is None:
        return fields
    kind, _, needed = KINDS[type(model).__name__]
    target, history = state.target, state.history
    if isinstance(target, ClassTarget):
        fields["classes_"] = target.labels
    else:
        fields["_target"] = (target.mean, target.scale)
    known = {
        "growth_history_": list(history.growth),
        "loss_curve_": list(history.loss_curve),
        "validation_curve_": list(history.validation_curve),
        "n_iter_": history.n_iter,
        "_network": state.network,
        "_scaler": state.inputs.scaler,
        "_regions": state.regions,
        "_seed": state.seed,
        "_source_classes": state.source_classes,
        "_n_replicas": state.n_replicas,
        "n_training_multiply_adds_": history.n_training_multiply_adds,
    }
    wanted = COMMON | needed | {name for name, owner in OWN.items() if owner is kind}
    fields.update({name: value for name, value in known.items() if name in wanted})
    if state.clusters is not None:
        fields["_clusters"] = state.clusters
    return {**fields, "_table": state.inputs.table}


def unpack(model, fields):
    """Give a model the state that a dict of fields holds.

    Raises
    ------
    ModelFileError
        If a field is missing, or the network is of another kind.
    """
    vars(model).update({k: v for k, v in fields.items() if k in ON_ESTIMATOR})
    if "_network" not in fields:  # a source need not be fitted any more
        return
    name, network = type(model).__name__, fields["_network"]
    kind, n_outputs, needed = KINDS[name]
    lacking = sorted((COMMON | needed) - set(fields))
    if lacking:
        raise ModelFileError(f"a {name} lacks {', '.join(lacking)}.")
    if not isinstance(network, kind):
        raise ModelFileError(f"a {name} has a {type(network).__name__} as network.")
    model._state = FittedState(
        inputs=InputEncoder(fields.get("_table"), fields["_scaler"], network.dtype.name),
        target=_target(fields, n_outputs),
        seed=fields["_seed"],
        network=network,
        regions=fields.get("_regions"),
        n_replicas=fields.get("_n_replicas", 1),
        clusters=fields.get("_clusters"),
        history=_history(fields),
        source_classes=fields.get("_source_classes"),
    )


def _target(fields, n_outputs):
    if n_outputs is None:
        return ClassTarget(fields["classes_"])
    if len(fields["_target"]) != 2:
        raise ModelFileError(f"{fields['_target']} is no mean and scale of a target.")
    return NumberTarget(*fields["_target"], n_outputs)


def _history(fields):
    return History(
        growth=tuple(fields["growth_history_"]),
        loss_curve=tuple(fields.get("loss_curve_", ())),
        validation_curve=tuple(fields.get("validation_curve_", ())),
        n_iter=fields.get("n_iter_", 0),
        n_training_multiply_adds=fields.get("n_training_multiply_adds_", 0),
    )
