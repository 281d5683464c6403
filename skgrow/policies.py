"""How new parts of a network start, where they go, and when it happens."""

from skgrow.growth.inside.depth import AutoGrow, Morphism, Net2Deeper, Stacking
from skgrow.growth.inside.firefly import Firefly
from skgrow.growth.inside.nest import NeST
from skgrow.growth.inside.when import Never, Periodic, Plateau
from skgrow.growth.inside.where import At, Everywhere, Gain, Stages, SVoD, Top
from skgrow.growth.inside.width import SWE, GradMax, Net2Wider, RandomStart, ZeroPad

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
