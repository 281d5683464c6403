"""How a fitted model reads its inputs: tables as numbers and codes, then scaled."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from skgrow.inputs.scaling import PixelScaler, QuantileScaler, check_pixels, fit_scaler
from skgrow.inputs.tables import Table

__all__ = ["InputEncoder"]


@dataclass(frozen=True)
class InputEncoder:
    """All that is learned of the inputs before a network is.

    Attributes
    ----------
    table : Table or None
        Columns of a frame; None where all are numbers.
    scaler : PixelScaler or QuantileScaler
    precision : {"float32", "float64"}
        What the network computes in.
    """

    table: Table | None
    scaler: PixelScaler | QuantileScaler
    precision: str

    @classmethod
    def fit(cls, table, rows, shared_scale=False):
        """Learn scales, and orders of categories, from labelled rows.

        Parameters
        ----------
        table : Table or None
        rows : LabelledRows
            Numbers and codes, as the table has read them.
        shared_scale : bool, default=False
            Whether all columns have one scale, as pixels have.
        """
        n_codes = None if table is None else table.n_codes
        scaler = fit_scaler(rows.X, rows.weight, shared_scale, rows.y, n_codes)
        return cls(table, scaler, rows.X.dtype.name)

    def scaled(self, rows):
        """Labelled rows with their inputs scaled, unless they are already."""
        if rows.scaled is not None:
            return rows
        return replace(rows, scaled=self.scaler.transform(rows.X))

    def is_categorical(self, n_columns):
        """Which of so many columns are categories, an ndarray of bool."""
        return np.zeros(n_columns, bool) if self.table is None else self.table.n_codes > 0

    @property
    def dtype(self):
        """The precision, as numpy has it."""
        return np.dtype(self.precision)

    def numbers(self, X):
        """Inputs in the dtype of the model, or ValueError if it cannot hold one."""
        with np.errstate(over="ignore"):
            found = X.astype(self.dtype, copy=False)
        if found is X:
            return X
        lost = np.isinf(found) & np.isfinite(X)  # no infinity that was there before
        if lost.any():
            raise ValueError(
                f"X holds {X[lost][0]:.3g}, a value too large for the {self.dtype} that "
                "this model was fitted in; check that value, or fit in float64."
            )
        return found

    def check_gaps(self, X):
        """Raise ValueError if pixels are missing."""
        if isinstance(self.scaler, PixelScaler):
            check_pixels(X)
