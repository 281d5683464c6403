"""Checkpoints of `grow`: what a round left, in a file that `load` reads as a model."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from skgrow.exceptions import ModelFileError
from skgrow.files.codec import packed
from skgrow.files.declared import Facts, Record, Whole, check_fields
from skgrow.files.persistence import digest, read, write
from skgrow.files.soundness import check_progress

__all__ = ["Checkpoint", "fitted_state"]

# Parameters that change how long growth takes, not what it finds.
FREE = {"device", "max_time", "n_jobs", "verbose"}
# What stands behind the model in the file.
REST = {"call": Facts(), "n_before": Whole(), "progress": Record(("Progress",))}


class Checkpoint:
    """A file that holds one call of `grow` after its last round.

    Parameters
    ----------
    path : str or path-like
    model : estimator
        As `grow` was called on.
    rows : tuple of ndarray
        Inputs, class numbers and weights, as growth sees them.
    n_branches : int
        Branches asked for.
    targets : ndarray of int64 or None
        Classes that may get them.
    n_held_out : int
        Rows that are held out.
    """

    def __init__(self, path, model, rows, n_branches, targets, n_held_out):
        self.path = Path(path)
        if not self.path.parent.is_dir():
            raise FileNotFoundError(f"{self.path.parent} is no folder; make it first.")
        digest(model)  # what no file can hold is said now, not after the first round
        parameters = model.get_params(deep=False)
        # Of a source, the bank is compared, which is a part of the fitted state.
        free = FREE | {"source"}
        parameters = {k: v for k, v in parameters.items() if k not in free}
        self.call = {
            "version of skgrow": version("skgrow"),
            "parameters": digest(parameters),
            "model": fitted_state(model),
            "rows": digest(*rows),
            "n_branches": n_branches,
            "new classes": digest(targets),
        }
        self.n_before, self.n_rows = model.n_branches_, len(rows[1])
        self.n_held_out = n_held_out
        # Of the call that this model is the unfinished work of, if it is.
        self.unfinished = model._state.unfinished

    def resume(self, model):
        """Where the file stands, if there is one.

        Returns
        -------
        state : FittedState
            Of the model, with network, clusters and rounds of the file.
        progress : Progress or None
            Without selection rows.

        Raises
        ------
        ModelFileError
            If the file is none of ours, or its parts do not fit together.
        ValueError
            If it was written by another call.
        """
        if not self.path.exists():
            return model._state, None
        stored, call, n_before, progress = self._parts()
        self._check(call)
        self._check_fits(stored, n_before, progress, model)
        self.n_before, own, found = n_before, model._state, stored._state
        history = replace(own.history, growth=found.history.growth)
        clusters = own.clusters if found.clusters is None else found.clusters
        state = replace(own, network=found.network, clusters=clusters, history=history)
        return state, progress

    def write(self, model, progress):
        """Write a model after a round; the former file stays until that is done."""
        rest = [self.call, self.n_before, progress.with_selection(None)]
        write([model, *rest], self.path)

    def _parts(self):
        parts = read(self.path)
        if len(parts) != 4:
            raise ValueError(
                f"{self.path} holds a saved model and no checkpoint of grow; give "
                "another path."
            )
        try:
            check_fields("checkpoint", dict(zip(REST, parts[1:], strict=True)), REST)
        except ModelFileError as error:
            raise self._unusable(error) from error
        return parts

    def _check_fits(self, stored, n_before, progress, model):
        """That a forged file does not put into the model what it cannot go on with."""
        same = type(stored) is type(model) and _shape(stored) == _shape(model)
        if not same:
            raise self._unusable("its model is another one.")
        grown = [r.get("n_branches") for r in stored._state.history.growth]
        if n_before > max((n for n in grown if isinstance(n, int)), default=0):
            raise self._unusable(f"no round began with {n_before} branches.")
        try:
            check_progress(progress, stored, self.n_rows)
        except ModelFileError as error:
            raise self._unusable(error) from error
        if len(progress.best_losses) != self.n_held_out:
            raise self._unusable(f"its losses are not those of {self.n_held_out} rows.")

    def _unusable(self, problem):
        return ModelFileError(
            f"{self.path} is no usable checkpoint: {problem} Delete it or give another "
            "path."
        )

    def _check(self, call):
        if self.unfinished is not None:
            begun, state = self.unfinished
            if state == self.call["model"] and begun == call:
                # The same line again, on what it had left: it began elsewhere.
                self.call = {**self.call, "model": begun["model"]}
        differ = [name for name, value in self.call.items() if call.get(name) != value]
        if differ:
            raise ValueError(
                f"{self.path} is the checkpoint of another call of grow: the "
                f"{' and '.join(differ)} differ. Delete it or give another path."
            )


def _shape(model):
    """What two states of one model have in common."""
    state = model._state
    return model.n_features_in_, state.target.n_outputs, state.inputs.dtype


def fitted_state(model):
    """Digest of all that a model has learned: parts that a file holds, less the time."""
    state = packed(model)
    # What growth did, not how long it took.
    rounds = [{**record, "seconds": None} for record in state["growth_history_"]]
    return digest(type(model).__name__, {**state, "growth_history_": rounds})
