"""How new parts of a network start, where they go, and when it happens.

The protocols `How`, `Where` and `When` say what an object of one's own must have,
`Begins`, `Shrinks`, `Sizes` and `Steps` what it may have.
"""

from skgrow.growth.inside.depth import AutoGrow, Morphism, Net2Deeper, Stacking
from skgrow.growth.inside.firefly import Firefly
from skgrow.growth.inside.nest import NeST
from skgrow.growth.inside.paths import branch_layer
from skgrow.growth.inside.probe import Probe
from skgrow.growth.inside.protocols import (
    Begins,
    How,
    Shrinks,
    Sizes,
    Steps,
    When,
    Where,
)
from skgrow.growth.inside.surgery import add_units, insert_block
from skgrow.growth.inside.when import Never, Periodic, Plateau
from skgrow.growth.inside.where import At, Everywhere, Gain, Stages, SVoD, Top
from skgrow.growth.inside.width import SWE, GradMax, Net2Wider, RandomStart, ZeroPad

__all__ = [
    "At",
    "AutoGrow",
    "Begins",
    "Everywhere",
    "Firefly",
    "Gain",
    "GradMax",
    "How",
    "Morphism",
    "NeST",
    "Net2Deeper",
    "Net2Wider",
    "Never",
    "Periodic",
    "Plateau",
    "Probe",
    "RandomStart",
    "SVoD",
    "SWE",
    "Shrinks",
    "Sizes",
    "Stacking",
    "Stages",
    "Steps",
    "Top",
    "When",
    "Where",
    "ZeroPad",
    "add_units",
    "branch_layer",
    "insert_block",
]
