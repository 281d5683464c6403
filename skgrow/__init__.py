"""Neural networks that grow, behind scikit-learn's interface."""

from importlib.metadata import version

from skgrow import policies
from skgrow._stored import SKOPS_TYPES
from skgrow.estimators.election import ElectionTransferClassifier
from skgrow.estimators.mlp import GrowingMLPClassifier
from skgrow.estimators.mlp_regressor import GrowingMLPRegressor
from skgrow.estimators.nam import GrowingNAMClassifier
from skgrow.estimators.nam_regressor import GrowingNAMRegressor
from skgrow.exceptions import (
    GrowthStoppedWarning,
    IgnoredColumnWarning,
    ModelFileError,
    ModelVersionWarning,
    UnseenCategoryWarning,
)
from skgrow.files.persistence import load, save
from skgrow.inputs.image_patches import ImagePatches

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
    "policies",
    "save",
]

__version__ = version("skgrow")
