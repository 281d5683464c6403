"""The types that a file of skops with one of our models holds."""

from __future__ import annotations

from skgrow._trees import ESTIMATORS, RECORDS

__all__ = ["SKOPS_TYPES"]

# Of a growth that is under way, which checkpoints hold and models do not.
UNDER_WAY = {"Counting", "Masking", "Nominees", "Progress"}

SKOPS_TYPES = sorted(
    f"{cls.__module__}.{cls.__qualname__}"
    for name, cls in {**RECORDS, **ESTIMATORS}.items()
    if name not in UNDER_WAY
)
