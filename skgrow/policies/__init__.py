"""How new parts of a network start, where they go, and when it happens."""

from skgrow.policies.depth import AutoGrow, Morphism, Net2Deeper, Stacking
from skgrow.policies.firefly import Firefly
from skgrow.policies.nest import NeST
from skgrow.policies.when import Never, Periodic, Plateau
from skgrow.policies.where import At, Everywhere, Gain, Stages, SVoD, Top
from skgrow.policies.width import SWE, GradMax, Net2Wider, RandomStart, ZeroPad

__all__ = [
    "At",
    "AutoGrow",
    "Everywhere",
    "Firefly",
    "Gain",
    "GradMax",
    "Morphism",
    "NeST",
    "Net2Deeper",
    "Net2Wider",
    "Never",
    "Periodic",
    "Plateau",
    "RandomStart",
    "SVoD",
    "SWE",
    "Stacking",
    "Stages",
    "Top",
    "ZeroPad",
]
