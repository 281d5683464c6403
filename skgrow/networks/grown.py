"""Grown branches: the table of added uses, and the network they make with the bank."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import (
    Candidates,
    FoldedBranches,
    count_trunks,
    trunk_chunks,
)
from skgrow.networks.curves import Curves
from skgrow.networks.forward import (
    Scratch,
    features_major,
    own_tensor,
    rows_at_once,
)
from skgrow.networks.row_scores import ROWS_PER_CHUNK, scores_in_chunks
from skgrow.networks.surfaces import Surfaces

__all__ = ["GrownBranches", "GrownRunner", "Network"]


@dataclass(frozen=True)
class GrownBranches:
    """Uses of trained branches that have joined the network.

    Each adds `a v + b 1[v > 0]` to its target class, with
    `v = relu((output - threshold) / span)`, formula (16).

    Attributes
    ----------
    bank : BranchBank
        The branches that are used again, as they were when they were matched.
    uses : Candidates
    span : ndarray of shape (n_branches,)
        Largest output minus threshold on the selection rows.
    scale, bias : ndarray of shape (n_branches,)
        `a` and `b`, the two trained numbers of each branch, in logits.
    precision, recall, bound : ndarray of shape (n_branches,)
        From the branch's qualification.
    """

    bank: BranchBank
    uses: Candidates
    span: np.ndarray
    scale: np.ndarray
    bias: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    bound: np.ndarray

    @classmethod
    def empty(cls, bank):
        """No branch yet."""
        none = np.zeros(0, dtype=bank.dtype)
        uses = Candidates.empty(bank.regions.shape[1], bank.dtype)
        return cls(bank, uses, none, none, none, none, none, none)

    def __len__(self):
        return len(self.uses)

    def fits(self, n_columns, n_classes):
        """Whether the branches can be used on so many columns for so many classes."""
        bank, uses = self.bank, self.uses
        limits = {
            "branch": bank.n_branches, "branch_class": bank.n_outputs,
            "target": n_classes, "columns": n_columns - uses.window.reach,
        }  # fmt: skip
        maps = (uses.scale, uses.shift, uses.lower, uses.upper, uses.threshold)
        masks = (self.span, self.scale, self.bias)
        return (
            bank.fits()
            and uses.window.fits()
            and uses.columns.shape[1] == bank.regions.shape[1]
            and len(self.span) == len(uses)
            and all((getattr(uses, name) < n).all() for name, n in limits.items())
            and all(part.dtype == bank.dtype for part in maps)
            and np.result_type(bank.dtype, *masks) == bank.dtype
        )

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row: trunks, outputs and masks.

        Branches that read the same through the same map share a trunk, and an output
        where they differ in threshold or mask alone. A trunk counts once for each place
        of its window, and so does the readout where the maximum is taken behind it.
        """
        trunks, outputs = count_trunks(self.uses)
        window = self.uses.window
        if window.takes_max or self.uses.has_bound.any():
            outputs *= window.n_places
        trunk = window.n_places * sum(w[0].size for w in self.bank.weights[:-1])
        return trunks * trunk + outputs * self.bank.weights[-1].shape[1] + len(self)

    def take(self, index):
        """The branches at `index` (an index array, a mask or a slice)."""
        arrays = {n: getattr(self, n)[index] for n in self._array_names()}
        return replace(self, uses=self.uses.take(index), **arrays)

    def extended(self, other):
        """These branches and then those of `other`, which must use the same bank."""
        arrays = {
            n: np.concatenate([getattr(self, n), getattr(other, n)])
            for n in self._array_names()
        }
        return replace(
            self, uses=Candidates.concatenate([self.uses, other.uses]), **arrays
        )

    def records(self, classes, feature_names, source_classes=None):
        """One dict a branch, in the user's labels and column names.

        Branches of another task have classes of their own, `source_classes`.
        """
        named = classes if source_classes is None else source_classes
        uses = self.uses
        columns = uses.columns if feature_names is None else feature_names[uses.columns]
        arrays = {
            "region": columns.tolist(),
            "branch": uses.branch.tolist(),
            "branch_class": named[uses.branch_class].tolist(),
            "target_class": classes[uses.target].tolist(),
            "threshold": uses.threshold.tolist(),
            **{name: getattr(self, name).tolist() for name in self._array_names()},
        }
        window = uses.window
        if window.n_places > 1:
            n_uses = len(self)
            arrays["n_places"] = [window.n_places] * n_uses
            arrays["pooling"] = [window.pooling] * n_uses
        return [
            dict(zip(arrays, values, strict=True))
            for values in zip(*arrays.values(), strict=True)
        ]

    def normalised(self, values):
        """`v` of formula (16) out of `relu(output - threshold)`, in place."""
        values /= self.span[:, None]
        return values

    def runner(self, device="cpu", n_classes=None):
        """These branches made ready to run, a `GrownRunner`.

        For `n_classes`, by default as many as the branches have outputs.
        """
        return GrownRunner(self, device, n_classes or self.bank.n_outputs)

    @staticmethod
    def _array_names():
        return [f.name for f in fields(GrownBranches) if f.name not in ("bank", "uses")]


class GrownRunner:
    """Grown branches made ready to run, in chunks of branches and rows.

    Parameters
    ----------
    grown : GrownBranches
    device : str
    n_classes : int
    """

    def __init__(self, grown, device, n_classes):
        self.n_branches, self.n_classes = len(grown), n_classes
        scratch = Scratch()
        self.chunks = [
            _Chunk(own, grown.take(own), device, n_classes, scratch)
            for own in trunk_chunks(grown.uses)
        ]

    def contributions(self, features):
        """What each branch adds to its target class.

        Parameters
        ----------
        features : Tensor of shape (n_features + 1, n_rows)
            Scaled inputs, see `forward.features_major`.

        Returns
        -------
        contributions : Tensor of shape (n_branches, n_rows)
            In logits.
        """
        added = features.new_empty((self.n_branches, features.shape[1]))
        for rows, chunk in self._work(features):
            added[chunk.own, rows] = chunk.contributions(features[:, rows])
        return added

    def logits(self, features):
        """Summed contributions by class, a Tensor `(n_classes, n_rows)`."""
        total = features.new_zeros((self.n_classes, features.shape[1]))
        for rows, chunk in self._work(features):
            chunk.add_to(total[:, rows], features[:, rows])
        return total

    def _work(self, features):
        for chunk in self.chunks:
            for rows in chunk.folded.chunks(features.shape[1]):
                yield rows, chunk


class _Chunk:
    """The branches `own`, made ready to run."""

    def __init__(self, own, branches, device, n_classes, scratch):
        uses = branches.uses
        self.own = torch.tensor(own, device=device)
        self.folded = FoldedBranches(branches.bank, uses, device, scratch, lowered=True)
        self.output = own_tensor(self.folded.output, device)
        masks = np.stack([branches.scale / branches.span, branches.bias])
        self.scale, self.bias = own_tensor(masks[:, :, None], device)  # (n_own, 1)
        to_class = np.zeros((2, n_classes, self.folded.n_outputs), masks.dtype)
        to_class[:, uses.target, self.folded.output] = masks
        self.scale_to_class, self.bias_to_class = own_tensor(to_class, device)

    @torch.inference_mode()
    def contributions(self, features):
        """What each branch adds, `(n_own, rows)`."""
        value = self._values(features).index_select(0, self.output)
        return self.scale * value + self.bias * value.sign()

    @torch.inference_mode()
    def add_to(self, total, features):
        """Add the contributions of all branches to `(n_classes, rows)`."""
        value = self._values(features)
        total.addmm_(self.scale_to_class, value)
        total.addmm_(self.bias_to_class, value.sign_())

    def _values(self, features):
        """`relu(output - threshold)` of every output, `(n_outputs, rows)`."""
        return self.folded.every_output(features).relu_()


@dataclass(frozen=True)
class Network:
    """All that predicts: curves, surfaces, base bank, grown branches and intercept.

    Attributes
    ----------
    bank : BranchBank
        The base branches.
    grown : GrownBranches
    intercept : ndarray of shape (n_classes,)
        Logits added to every row.
    curves : Curves or None
    surfaces : Surfaces or None
    """

    bank: BranchBank
    grown: GrownBranches
    intercept: np.ndarray
    curves: Curves | None = None
    surfaces: Surfaces | None = None

    def misfits(self, n_columns, n_outputs):
        """Names of the parts that do not fit to so many columns and outputs."""
        grown = self.grown
        fits = {
            "bank": self.bank.fits(n_columns) and self.bank.n_outputs == n_outputs,
            "grown": grown.fits(n_columns, n_outputs)
            and grown.bank.n_outputs == n_outputs
            and grown.bank.dtype == self.bank.dtype
            and bool((grown.span > 0).all()),
            "intercept": self.intercept.shape == (n_outputs,),
        }
        for name in ("curves", "surfaces"):
            part = getattr(self, name)
            fits[name] = part is None or (
                part.fits(n_columns) and part.values.shape[1] == n_outputs
            )
        return [name for name, is_right in fits.items() if not is_right]

    @property
    def dtype(self):
        """What it computes in."""
        return self.bank.dtype

    @property
    def n_parameters(self):
        """Trained numbers: branches, curves, surfaces, two a grown branch, intercepts.

        Intercepts that only count classes are not trained.
        """
        banks = {id(bank): bank for bank in (self.bank, self.grown.bank)}
        trained = sum(bank.n_parameters for bank in banks.values())
        trained += sum(part.n_parameters for part in self.shapes)
        fixed = not self.shapes and not len(self.grown)
        return trained + 2 * len(self.grown) + (0 if fixed else len(self.intercept))

    @property
    def shapes(self):
        """Curves and surfaces, as far as there are any."""
        return [part for part in (self.curves, self.surfaces) if part is not None]

    @property
    def n_multiply_adds(self):
        """Multiply-adds to predict one row."""
        n_curves, n_surfaces = (
            0 if part is None else len(part) for part in (self.curves, self.surfaces)
        )
        # Two knots a column and class, and four a pair.
        between = (2 * n_curves + 4 * n_surfaces) * len(self.intercept)
        return self.bank.n_multiply_adds + self.grown.n_multiply_adds + between

    def without(self, terms):
        """The network less all that sees exactly these sets of columns.

        Parameters
        ----------
        terms : list of tuple of int
            Columns of each term, ascending.
        """
        lost = set(terms)
        base, grown = (
            np.array([tuple(sorted(set(r))) not in lost for r in regions.tolist()], bool)
            for regions in (self.bank.seen, self.grown.uses.seen)
        )
        curves = self.curves
        if curves is not None:
            curves = curves.without([term[0] for term in terms if len(term) == 1])
        surfaces = self.surfaces
        if surfaces is not None:
            surfaces = surfaces.without(terms)
        bank = self.bank if base.all() else self.bank.take(base)
        grown = self.grown.take(grown)
        return replace(self, bank=bank, grown=grown, curves=curves, surfaces=surfaces)

    def alone(self, term):
        """One term of the network, a `Network` of inputs that are its columns.

        Parameters
        ----------
        term : tuple of int
            Columns, ascending.
        """
        base, grown = (
            np.isin(regions, term).all(axis=1)
            & np.all([(regions == j).any(axis=1) for j in term], axis=0)
            for regions in (self.bank.seen, self.grown.uses.seen)
        )
        bank, grown = self.bank.take(base), self.grown.take(grown)
        for part, window in ((bank.regions, bank.window), (grown, grown.uses.window)):
            if len(part) and window.n_places > 1:
                raise ValueError("a window of places is no term to be read alone.")
        bank = replace(bank, regions=np.searchsorted(term, bank.regions))
        columns = np.searchsorted(term, grown.uses.columns)
        grown = replace(grown, uses=replace(grown.uses, columns=columns))
        curves = surfaces = None
        if self.curves is not None and len(term) == 1:
            curves = self.curves.alone(term[0])
        if self.surfaces is not None:
            surfaces = self.surfaces.alone(term)
        return Network(bank, grown, 0 * self.intercept, curves, surfaces)

    def logits(self, X, scaler, device="cpu", with_bank=True):
        """Logits of raw inputs `X` (n_samples, n_features), in chunks of rows."""
        runners = [self.bank.runner(device)] if with_bank else []
        if len(self.grown):
            runners.append(self.grown.runner(device))
        n_rows = min(len(X), rows_at_once(ROWS_PER_CHUNK, X[:1].nbytes, device))
        memory = np.empty((X.shape[1] + 1, n_rows if runners else 0), dtype=self.dtype)

        def score(X, scaled):
            found = np.empty((len(X), len(self.intercept)), dtype=self.dtype)
            found[:] = self.intercept
            for part in self.shapes:
                found += part.logits(X)
            if runners:
                features = features_major(scaled, device, memory)
            for runner in runners:
                found += runner.logits(features).T.cpu().numpy()
            return found

        scaler = scaler if runners else None
        return scores_in_chunks(score, X, scaler, len(self.intercept), self.dtype, device)
