"""All ways to grow, by the words that mean them: widths first, then depths."""

from __future__ import annotations

from skgrow.growth.inside.depth import AutoGrow, Morphism, Net2Deeper, Stacking
from skgrow.growth.inside.firefly import Firefly
from skgrow.growth.inside.nest import NeST
from skgrow.growth.inside.width import SWE, GradMax, Net2Wider, RandomStart, ZeroPad

__all__ = ["HOW"]

HOW = {
    "random": RandomStart, "zero": ZeroPad, "net2wider": Net2Wider, "gradmax": GradMax,
    "firefly": Firefly, "swe": SWE, "nest": NeST, "net2deeper": Net2Deeper,
    "morphism": Morphism, "stacking": Stacking, "autogrow": AutoGrow,
}  # fmt: skip
