"""What parameters may be, as scikit-learn checks them, of each family of estimators."""

from __future__ import annotations

from numbers import Integral, Real

from sklearn.utils._param_validation import Interval, StrOptions

from skgrow.inputs.image_patches import ImagePatches

__all__ = ["ADDITIVE", "DENSE", "ELECTION"]

POSITIVE = Interval(Integral, 1, None, closed="left")
DENSE = {
    "hidden_layer_sizes": ["array-like"],
    "how": "no_validation",  # policies are checked by `GrowthStep.of`
    "where": "no_validation",
    "when": "no_validation",
    "growth_rate": [Interval(Real, 0, None, closed="neither")],
    "max_neurons": [POSITIVE, None],
    "max_layers": [POSITIVE, None],
    "max_parameters": [POSITIVE, None],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "max_iter": [POSITIVE],
    "batch_size": [POSITIVE],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean", StrOptions({"auto"})],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [POSITIVE],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "device": [str],
    "verbose": ["verbose"],
}
ADDITIVE = {
    "regions": [
        StrOptions({"auto", "features", "pairs"}),
        ImagePatches,
        "array-like",
    ],
    "grow_regions": [
        StrOptions({"auto", "features", "pairs"}),
        ImagePatches,
        "array-like",
        None,
    ],
    "curves": ["boolean", StrOptions({"auto"})],
    "surfaces": ["boolean", StrOptions({"auto"})],
    "n_replicas": [POSITIVE],
    "hidden_layer_sizes": ["array-like", StrOptions({"auto"})],
    "n_branches": [Interval(Integral, 0, None, closed="left")],
    "matching": [StrOptions({"both", "clusters", "exhaustive"})],
    "round_size": [POSITIVE],
    "delta": [Interval(Real, 0, 1, closed="neither")],
    "search_regions": [POSITIVE],
    "search_rows": [POSITIVE],
    "n_verified": [POSITIVE],
    "refit": ["boolean"],
    "max_iter": [POSITIVE],
    "batch_size": [POSITIVE],
    "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
    "alpha": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean", StrOptions({"auto"})],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [POSITIVE],
    "n_rounds_no_change": [StrOptions({"auto"}), POSITIVE],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "tol": [Interval(Real, 0, None, closed="left")],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
    "device": [str],
    "verbose": ["verbose"],
}
ELECTION = {
    "source": "no_validation",
    "regions": [
        StrOptions({"auto", "features", "pairs"}),
        ImagePatches,
        "array-like",
    ],
    "n_branches": [Interval(Integral, 0, None, closed="left")],
    "use_grown": ["boolean"],
    "votes": [StrOptions({"equal", "fitted", "auto"})],
    "standardise": [StrOptions({"pooled", "class", "vote"})],
    "new_classes": [StrOptions({"error", "add"})],
    "matching": [StrOptions({"both", "clusters", "exhaustive"})],
    "round_size": [POSITIVE],
    "delta": [Interval(Real, 0, 1, closed="neither")],
    "search_regions": [POSITIVE],
    "search_rows": [POSITIVE],
    "n_verified": [POSITIVE],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_rounds_no_change": [POSITIVE],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "tol": [Interval(Real, 0, None, closed="left")],
    "class_weight": [StrOptions({"balanced"}), dict, None],
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
    "device": [str],
    "verbose": ["verbose"],
}
