"""Which classes a file of skgrow may hold: the explicit list that the codec is told."""

from __future__ import annotations

from skgrow.estimators.election import ElectionTransferClassifier
from skgrow.estimators.mlp import GrowingMLPClassifier
from skgrow.estimators.mlp_regressor import GrowingMLPRegressor
from skgrow.estimators.nam import GrowingNAMClassifier
from skgrow.estimators.nam_regressor import GrowingNAMRegressor
from skgrow.estimators.state import FittedState, History
from skgrow.estimators.stored_state import pack, unpack
from skgrow.files.codec import register
from skgrow.files.soundness import check_model
from skgrow.growth.inside.how import HOW
from skgrow.growth.inside.when import WHEN
from skgrow.growth.inside.where import WHERE, At
from skgrow.growth.reuse.clustering import Clusters
from skgrow.growth.reuse.mask_state import Masking
from skgrow.growth.reuse.rounds import Progress
from skgrow.growth.transfer.nominees import Nominees
from skgrow.growth.transfer.vote_state import Counting
from skgrow.inputs.encoder import InputEncoder
from skgrow.inputs.image_patches import ImagePatches
from skgrow.inputs.regions import Regions
from skgrow.inputs.scaling import PixelScaler, QuantileScaler
from skgrow.inputs.tables import Table
from skgrow.inputs.windows import Window
from skgrow.networks.bank import BranchBank
from skgrow.networks.blocks import Layer, Parallel
from skgrow.networks.branch_uses import Candidates
from skgrow.networks.curves import Curves
from skgrow.networks.grown import GrownBranches, Network
from skgrow.networks.perceptron import Perceptron
from skgrow.networks.readout import Readout
from skgrow.networks.surfaces import Surfaces
from skgrow.networks.value_sums import ValueSums
from skgrow.networks.votes import Electorate, Tally
from skgrow.training.targets import ClassTarget, NumberTarget

__all__ = ["SKOPS_TYPES"]

ESTIMATORS = (
    GrowingNAMClassifier, GrowingNAMRegressor, ElectionTransferClassifier,
    GrowingMLPClassifier, GrowingMLPRegressor,
)  # fmt: skip
PARTS = (
    BranchBank, Candidates, Clusters, Curves, Electorate, GrownBranches, ImagePatches,
    Layer, Network, Parallel, Perceptron, PixelScaler, QuantileScaler, Readout, Regions,
    Surfaces, Table, Tally, ValueSums, Window, At, *HOW.values(), *WHEN.values(),
    *WHERE.values(),
)  # fmt: skip
# Of a growth that is under way, which checkpoints hold and models do not.
UNDER_WAY = (Counting, Masking, Nominees, Progress)

register([*PARTS, *UNDER_WAY], ESTIMATORS, [check_model], (pack, unpack))

# Of the fitted state, which files hold by its parts.
STATE = (ClassTarget, FittedState, History, InputEncoder, NumberTarget)

# For `skops.io.load(file, trusted=skgrow.SKOPS_TYPES)`.
SKOPS_TYPES = sorted(
    f"{cls.__module__}.{cls.__qualname__}" for cls in (*PARTS, *STATE, *ESTIMATORS)
)
