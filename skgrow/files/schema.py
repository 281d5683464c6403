"""The schema of the files: what each field of each stored class may be.

Every stored array has one declared dtype, or one kind in two precisions, a shape and a
range. Whether fields of several classes fit together is checked by methods of these
classes, `fits` and `misfits`, which `soundness.py` calls.
"""

from __future__ import annotations

from numbers import Real

from skgrow.files.declared import (
    Anything,
    Array,
    Choice,
    Each,
    Facts,
    Flag,
    Instance,
    Maybe,
    Number,
    Record,
    Text,
    Whole,
)

__all__ = ["FIELDS", "FITTED", "RANDOM_STATE", "TENSORS"]

# Dtypes of safetensors that numpy has.
TENSORS = {
    "F64", "F32", "F16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8",
}  # fmt: skip
NUMBERS, TEXT = ("b", "i", "u", "f"), ("U", "O")


def _real(*shape, **how):
    return Array(("float64", "float32"), shape, **how)


def _index(*shape):
    """Numbers of columns, classes, branches and the like."""
    return Array(("int64",), shape, least=0)


def _flags(*shape):
    return Array(("bool",), shape)


BRANCHES, NETWORKS = Record(("GrownBranches",)), Record(("Network", "Electorate"))
BLOCK = Record(("Layer", "Parallel"))  # of a dense network
WINDOW = Record(("Window",))  # files of before have none: every branch reads one place

FIELDS = {
    "BranchBank": {
        "regions": _index("branches", None),
        "weights": Each(_real("branches", None, None)),
        "biases": Each(_real("branches", None)),
        "window": WINDOW,
    },
    "Candidates": {
        "region": _index("uses"),
        "branch": _index("uses"),
        "branch_class": _index("uses"),
        "target": _index("uses"),
        "columns": _index("uses", "size"),
        "scale": _real("uses", "size"),
        "shift": _real("uses", "size"),
        "lower": _real("uses", "size", infinite=True),
        "upper": _real("uses", "size", infinite=True),
        "threshold": _real("uses"),
        "gain": _real("uses", infinite=True),
        "window": WINDOW,
    },
    "Clusters": {
        "branch": _index("clusters"),
        "branch_class": _index("clusters"),
        "centre": _real("clusters", "size"),
        "peak": _real("clusters"),
        "mean": _real("branches", "classes", "size"),
        "spread": _real("branches", "classes", "size", least=0),
        "order": _index("branches", "classes", "size"),
    },
    "Counting": {
        "network": Record(("Electorate",)),
        "selection": Choice((None,)),
        "targets": _index(None),
        "counts": _real("rows", "classes"),
        "sums": _real("rows", "classes"),
        "nominees": Record(("Nominees",)),
    },
    "Curves": {
        "knots": _real("points", missing=True),  # the last one of each column
        "start": _index(None),
        "values": _real("points", "classes"),
        "error": _real("points", "classes", missing=True),  # without replicas
    },
    "Electorate": {
        "grown": BRANCHES,
        "tally": Record(("Tally",)),
        "temperature": Number(above=0),
        "standardise": Choice(("pooled", "class", "vote")),
        "cohort": _index(None),
        "nominees": BRANCHES,
    },
    "GrownBranches": {
        "bank": Record(("BranchBank",)),
        "uses": Record(("Candidates",)),
        "span": _real("uses", least=0),
        "scale": _real("uses"),
        "bias": _real("uses"),
        "precision": _real("uses"),
        "recall": _real("uses"),
        "bound": _real("uses"),
    },
    "ImagePatches": dict.fromkeys(
        ("image_shape", "patch_size", "stride", "window", "pooling", "window_stride"),
        Anything,
    ),
    "Layer": {
        "weight": _real(3, "out", "in"),
        "bias": _real(3, "out"),
        "slope": Maybe(_real(3, "out")),
        "gate": Maybe(_real(3, "out")),
        "n_steps": Whole(),
        "mask": Maybe(_flags("out", "in")),
    },
    "Masking": {
        "network": Record(("Network",)),
        "selection": Choice((None,)),
        "logits": _real("rows", "classes"),
        "refit": Flag,
    },
    "Network": {
        "bank": Record(("BranchBank",)),
        "grown": BRANCHES,
        "intercept": _real(None),
        "curves": Maybe(Record(("Curves",))),
        "surfaces": Maybe(Record(("Surfaces",))),
    },
    "Nominees": {
        "branches": BRANCHES,
        "votes": _flags("nominees", "rows"),
        "search": _index("nominees"),
        "unseen": _flags("searches", "rows"),
    },
    "Parallel": {
        "branches": Each(Each(BLOCK)),
        "scale": Maybe(_real(3, None)),
        "n_steps": Whole(),
    },
    "Perceptron": {"layers": Each(BLOCK)},
    "PixelScaler": {"middle": Number(), "spread": Number(above=0)},
    "Progress": {
        "standing": Record(("Masking", "Counting")),
        "best": NETWORKS,
        "best_losses": _real(None),
        "n_stale": Whole(),
        "stopped": Flag,
    },
    "QuantileScaler": {
        "knots": _real(None, "columns"),
        "missing": _real("columns"),
        "start": Maybe(_index(None)),
        "positions": Maybe(_real(None)),
    },
    "Readout": {
        "grown": BRANCHES,
        "weights": _real("uses", "classes"),
        "intercept": _real("classes"),
        "temperature": Number(above=0),
        "error": Number(above=0),
        "sums": Record(("ValueSums",)),
    },
    "Regions": {
        "base": _index(None, "size"),
        "growth": _index(None, "size"),
        "shared_scale": Flag,
        "base_window": WINDOW,
        "growth_window": WINDOW,
    },
    "Surfaces": {
        "pairs": _index(None, 2),
        "columns": _index(None),
        "knots": _real(None, missing=True),  # the last one of each column
        "start": _index(None),
        "values": _real(None, None),
    },
    "Table": {
        "names": Each(Text),
        "categories": Each(Maybe(Array(("O",), (None,)))),
        "rare": Each(Array(("O",), (None,))),
        "ordered": Each(Flag),
    },
    "Tally": {
        "class_weight": _real("classes", least=0),
        "counted": _real("classes", least=0),
        "total": _real("classes", least=0),
        "square": _real("classes", least=0),
    },
    "ValueSums": {
        "n_rows": Number(least=0),
        "class_weight": Array(("float64",), ("classes",), least=0),
        "class_total": Array(("float64",), ("classes", "uses")),
        "root": Array(("float64",), ("rows", "uses")),
        "root_weight": Array(("float64",), ("rows",), least=0),
        "products": Array(("float64",), (None, None)),
    },
    "Window": {"offsets": _index(None), "pooling": Choice(("mean", "max"))},
}
# Fitted state of the estimators.
FITTED = {
    "classes_": Array((*NUMBERS, *TEXT), (None,)),
    "n_features_in_": Whole(1),
    "feature_names_in_": Array(("O",), (None,)),
    "growth_history_": Each(Facts(), list),
    "loss_curve_": Each(Instance(Real), list),
    "validation_curve_": Each(Instance(Real), list),
    "n_iter_": Whole(),
    "_network": Record(("Network", "Electorate", "Readout", "Perceptron")),
    "_scaler": Record(("PixelScaler", "QuantileScaler")),
    "_regions": Record(("Regions",)),
    "_seed": Whole(),
    "_clusters": Record(("Clusters",)),
    "_source_classes": _index(None),
    "_table": Maybe(Record(("Table",))),
    "_target": Each(Number()),
    "_n_replicas": Whole(1),
    "n_training_multiply_adds_": Whole(),
}
# Of numpy's RandomState, in this order; it does not check its position itself.
RANDOM_STATE = {
    "bit_generator": Choice(("MT19937",)),
    "key": Array(("uint32",), (624,)),
    "position": Whole(most=624),
    "has_gauss": Choice((0, 1)),
    "gauss": Number(),
}
