"""Gradient training of a bank: one loop for `fit` and `partial_fit`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from skgrow.networks.forward import CHUNK_ROWS, rows_at_once
from skgrow.training.bank_gradient import TrainableBank
from skgrow.training.bank_shrinkage import mean_loss, usable
from skgrow.training.early_stopping import LossWatch
from skgrow.training.losses import CROSS_ENTROPY
from skgrow.training.tensors import as_tensors

TINY = 1e-30  # a batch may hold no row of a replica, or none that weighs anything

__all__ = ["TrainingData", "TrainingPlan", "TrainingRecord", "train_bank"]


@dataclass(frozen=True)
class TrainingData:
    """Rows to train on, or to stop by.

    Attributes
    ----------
    X : ndarray of shape (n_samples, n_features)
        Scaled inputs.
    y : ndarray of shape (n_samples,)
        Class numbers, or targets of a regressor.
    sample_weight : ndarray of shape (n_samples,)
    offset : ndarray of shape (n_samples, n_classes) or (1, n_classes)
        Logits that are added to the bank's and not trained.
    share : ndarray of shape (n_samples, n_replicas), default=None
        What the weight of each row is multiplied by for each replica; None for one
        network of all branches.
    """

    X: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray
    offset: np.ndarray
    share: np.ndarray | None = None

    @property
    def n_replicas(self):
        """Networks that are trained side by side."""
        return 1 if self.share is None else self.share.shape[1]

    def take(self, rows):
        """The given rows."""
        offset = self.offset if len(self.offset) == 1 else self.offset[rows]
        share = None if self.share is None else self.share[rows]
        return TrainingData(
            self.X[rows], self.y[rows], self.sample_weight[rows], offset, share
        )


@dataclass(frozen=True)
class TrainingPlan:
    """How to train: see the estimator's parameters of the same names."""

    max_iter: int
    batch_size: int
    learning_rate: float
    alpha: float = 0.0
    one_cycle: bool = True
    tol: float = 1e-4
    n_iter_no_change: int = 10
    loss: object = CROSS_ENTROPY


@dataclass(frozen=True)
class TrainingRecord:
    """What happened: mean loss of each epoch in nats, epochs run, best epoch.

    Attributes
    ----------
    loss_curve, validation_curve : list of float
    n_iter, best_iter : int
    problem : str or None
        Why the branches were not taken as they were trained, if they were not.
    """

    loss_curve: list
    validation_curve: list
    n_iter: int
    best_iter: int
    problem: str | None = None


def train_bank(bank, data, plan, *, validation=None, seed=0, device="cpu", report=None):
    """Minimise the weighted loss of the summed logits with Adam.

    Replicas are networks of their own, trained side by side: the bank holds the branches
    of one after those of the other. What comes back is their mean, as one network.

    The last weights are taken, or with `validation` those of the best epoch. Where an
    earlier epoch began with a lower loss of the training rows, by more than `tol`, its
    weights are taken; see `usable` for training that diverges from the start.

    Parameters
    ----------
    bank : BranchBank
        Where to start; it is not changed. `data.n_replicas` times the branches of one
        network.
    data : TrainingData
        Training rows. A set no larger than one batch is trained full-batch, so that
        a row of weight 2 equals the row twice. Replicas differ from each other by far
        more than rounding, so several are trained in float32, whatever the bank is.
    plan : TrainingPlan
    validation : TrainingData, default=None
        Rows to stop by; the weights of the best epoch are then restored. With a share,
        each replica is judged by the rows that it leaves out, so that all rows are
        trained on and all are held out; without one, the mean of the replicas is.
    seed : int
        Seed of the generator that shuffles the rows.
    device : str, default="cpu"
    report : callable, default=None
        Called as `report(epoch, loss, validation_loss)` after each epoch; training ends
        when it returns True.

    Returns
    -------
    bank : BranchBank
    record : TrainingRecord
    """
    dtype = bank.dtype if data.n_replicas == 1 else np.dtype(np.float32)
    network = TrainableBank(bank, data.n_replicas, device, dtype)
    inputs_of = _Inputs(bank, device)
    same, whole = validation is data, data
    data = inputs_of.only_used(data)
    if validation is not None:
        validation = data if same else inputs_of.only_used(validation)
    stopper = _Stopper(plan, inputs_of, validation, network, device)
    losses = []
    for loss in _epochs(network, inputs_of, data, plan, seed, device):
        losses.append(loss)
        stop = stopper.step(loss)
        asked = report is not None and report(len(losses), loss, stopper.last)
        if stop or asked:
            break
    # The losses of the passes show that training went well, and cost nothing.
    least = mean_loss(None, whole, plan.loss) + plan.tol
    sound = losses[-1] <= min(min(losses) + plan.tol, least)
    ended = None
    if validation is not None or not sound:
        ended = stopper.restore(
            lambda: mean_loss(network.trained(), whole, plan.loss, device)
        )
    trained, problem = network.trained(), None
    if not sound:
        start = TrainableBank(bank, data.n_replicas, device, dtype).trained()
        trained, problem = usable(start, trained, whole, plan, device, ended)
    record = TrainingRecord(
        losses, stopper.curve, len(losses), stopper.watch.best_iter, problem
    )  # fmt: skip
    return trained, record


def _epochs(network, inputs_of, data, plan, seed, device):
    """Train one epoch after the other; yields the mean loss of each, in nats."""
    optimizer = torch.optim.Adam([network.parameters], plan.learning_rate, fused=True)
    schedule = _schedule(optimizer, len(data.y), plan)
    generator = torch.Generator().manual_seed(seed)
    mass = float((data.sample_weight * _shares(data).mean(axis=1)).sum())
    rows = _to_device(data, device, network.dtype)
    for _ in range(plan.max_iter):
        order = torch.randperm(len(data.y), generator=generator).to(device)
        totals = []
        for batch in order.split(plan.batch_size):
            totals.append(_step(network, inputs_of, rows, batch, plan))
            optimizer.step()
            schedule.step()
        # Together, for a GPU would be waited for after each step.
        yield float(torch.stack(totals).cpu().double().sum()) / mass


def _schedule(optimizer, n_rows, plan):
    if not plan.one_cycle:
        return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1)
    n_steps = plan.max_iter * -(-n_rows // plan.batch_size)
    return torch.optim.lr_scheduler.OneCycleLR(
        # One step more than is taken: the last call must not run off the schedule.
        optimizer,
        max_lr=plan.learning_rate,
        total_steps=int(n_steps) + 1,  # torch refuses integers of numpy
    )


class _Inputs:
    """What the branches read of a batch of rows.

    The columns that are used are taken out once, in the order of their first use, which
    for patches that do not overlap is that of the branches: a batch is then gathered by
    whole rows.
    """

    def __init__(self, bank, device):
        flat = bank.window.seen(bank.regions).reshape(-1)
        self.shape = bank.regions.shape
        _, first, number = np.unique(flat, return_index=True, return_inverse=True)
        order = np.argsort(first)
        self.used = flat[first[order]]
        self.place = torch.tensor(np.argsort(order)[number], device=device)
        self.in_order = len(self.used) == len(flat)

    def only_used(self, data):
        """Training data without the other columns."""
        if np.array_equal(self.used, np.arange(data.X.shape[1])):
            return data
        return replace(data, X=np.take(data.X, self.used, axis=1))

    def __call__(self, X, batch):
        """Inputs `(branches, region_size, n_places * rows)`, place by place; `batch`
        `(rows,)`, or `(n, rows)` with rows of their own for each n-th of the branches.
        """
        if batch.dim() == 1 and self.in_order:
            return X.index_select(0, batch).T.reshape(*self.shape, -1)
        if batch.dim() == 1:
            return self._of(X, batch, self.place).reshape(*self.shape, -1)
        places = self.place.unflatten(0, (len(batch), -1))
        parts = [self._of(X, *pair) for pair in zip(batch, places, strict=True)]
        return torch.cat(parts).reshape(*self.shape, -1)

    def _of(self, X, batch, place):
        # Gathered from a transposed array, they would take far longer.
        return X.index_select(0, batch).T.contiguous().index_select(0, place)


def _step(network, inputs_of, rows, batch, plan):
    """Write the gradient of a batch; its weighted loss, summed up, as a Tensor."""
    X, y, sample_weight, offset = rows
    n_replicas = sample_weight.shape[1]
    logits = network.logits(inputs_of(X, batch))  # (n_replicas, K, rows)
    logits += (offset if len(offset) == 1 else offset[batch]).T
    by_class = logits.transpose(0, 1).flatten(1)  # (K, n_replicas * rows)
    losses, grad = plan.loss.grad_by_class(by_class, y[batch].repeat(n_replicas))
    batch_weight = sample_weight[batch].T  # (n_replicas, rows)
    share = batch_weight / batch_weight.sum(dim=1, keepdim=True).clip(min=TINY)
    grad = grad.unflatten(1, (n_replicas, -1)).mul_(share)
    network.backward(grad.transpose(0, 1).contiguous())
    if plan.alpha:  # alpha / 2 times the sum of all squares
        network.penalty_grad.add_(network.penalty, alpha=plan.alpha)
    return (losses.view(n_replicas, -1) * batch_weight).sum(dim=1).mean()


class _Stopper:
    """Early stopping: by validation rows, else by the training loss; and best weights.

    The training loss of an epoch is that of the weights which it began with: exactly so
    where it is one batch.
    """

    def __init__(self, plan, inputs_of, validation, network, device):
        self.plan, self.inputs_of, self.network = plan, inputs_of, network
        self.validation = None
        if validation is not None:
            dtype = network.dtype
            self.validation = _to_device(replace(validation, share=None), device, dtype)
            rows = _left_out(validation)
            self.n_judged = len(rows)  # 1: the mean of the replicas
            self.rows = torch.as_tensor(rows, device=device)
        self.curve, self.last = [], None
        self.watch = LossWatch(plan.tol, plan.n_iter_no_change)
        self.lowest, self.best = np.inf, network.parameters.clone()
        self.begun = self.best  # with these weights, the present epoch

    def step(self, loss):
        """Take note of an epoch; whether it should be the last."""
        if self.validation is not None:
            loss = self.last = self._validation_loss()
            self.curve.append(loss)
        falls = self.watch.falls(loss)
        if self.validation is not None:
            if falls:
                self.best = self.network.parameters.clone()
        else:
            if loss < self.lowest:
                self.lowest, self.best = loss, self.begun
            self.begun = self.network.parameters.clone()
        return self.watch.is_over

    def restore(self, loss_now):
        """Go back to the best weights; without rows to stop by, if they are better.

        Returns the loss of the last weights, where it was asked for.
        """
        last, loss = self.begun, None
        if self.validation is None and self.plan.max_iter > 1:
            loss = loss_now()
            self.network.parameters.copy_(self.best)
            if loss <= self.lowest + self.plan.tol or loss <= loss_now() + self.plan.tol:
                self.network.parameters.copy_(last)
        elif self.validation is not None:
            self.network.parameters.copy_(self.best)
        return loss

    def _validation_loss(self):
        X, y, sample_weight, offset = self.validation
        total = mass = 0.0
        n_rows = rows_at_once(CHUNK_ROWS, X[:1].nbytes, X.device)
        for rows in self.rows.split(n_rows, dim=1):  # (n_judged, rows)
            logits = self.network.logits(self.inputs_of(X, rows))
            if self.n_judged == 1:
                logits = logits.mean(dim=0, keepdim=True)
            logits = logits.transpose(1, 2)  # (n_judged, rows, K)
            logits = logits + (offset if len(offset) == 1 else offset[rows])
            rows = rows.flatten()
            losses = self.plan.loss.of_tensors(logits.flatten(0, 1), y[rows])
            weight = sample_weight[rows, 0]
            total += float(losses @ weight)
            mass += float(weight.sum())
        return total / max(mass, TINY)


def _left_out(data):
    """Rows that each replica is judged by, as many of each: `(n_judged, rows)`."""
    if data.share is None:
        return np.arange(len(data.y))[None]
    rows = [np.flatnonzero(share == 0) for share in data.share.T]
    fewest = min(map(len, rows))
    return np.array([own[:fewest] for own in rows])


def _to_device(data, device, dtype):
    weight = data.sample_weight[:, None] * _shares(data)
    y = data.y if data.y.dtype.kind == "i" else data.y.astype(dtype, copy=False)
    others = (a.astype(dtype, copy=False) for a in (data.X, weight, data.offset))
    X, weight, offset = others
    return as_tensors((X, y, weight, offset), device)


def _shares(data):
    return np.ones((len(data.y), 1)) if data.share is None else data.share
