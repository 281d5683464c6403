"""Neural networks that grow, behind scikit-learn's interface."""

from importlib.metadata import version

from skgrow._skops import SKOPS_TYPES
from skgrow.election import ElectionTransferClassifier
from skgrow.exceptions import (
    GrowthStoppedWarning,
    IgnoredColumnWarning,
    ModelFileError,
    ModelVersionWarning,
    UnseenCategoryWarning,
)
from skgrow.mlp import GrowingMLPClassifier, GrowingMLPRegressor
from skgrow.nam import GrowingNAMClassifier
from skgrow.nam_regressor import GrowingNAMRegressor
from skgrow.persistence import load, save
from skgrow.regions import ImagePatches

__all__ = [
    "ElectionTransferClassifier",
    "GrowingMLPClassifier",
    "GrowingMLPRegressor",
    "GrowingNAMClassifier",
    "GrowingNAMRegressor",
    "GrowthStoppedWarning",
    "IgnoredColumnWarning",
    "ImagePatches",
    "ModelFileError",
    "ModelVersionWarning",
    "SKOPS_TYPES",
    "UnseenCategoryWarning",
    "__version__",
    "load",
    "save",
]

__version__ = version("skgrow")
