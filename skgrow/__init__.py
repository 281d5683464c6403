"""Neural networks that grow, behind scikit-learn's interface."""

from importlib.metadata import version

from skgrow.election import ElectionTransferClassifier
from skgrow.exceptions import GrowthStoppedWarning
from skgrow.nam import GrowingNAMClassifier
from skgrow.regions import ImagePatches

__all__ = [
    "ElectionTransferClassifier",
    "GrowingNAMClassifier",
    "GrowthStoppedWarning",
    "ImagePatches",
    "__version__",
]

__version__ = version("skgrow")
