"""The parameters of dense networks that grow."""

from __future__ import annotations

from sklearn.utils._param_validation import StrOptions

from skgrow.estimators.mlp_verbs import MLP_CONSTRAINTS, MLPMixin

__all__ = ["ClassifierParameters", "Parameters"]


class Parameters(MLPMixin):
    """Those that both estimators have."""

    _parameter_constraints: dict = MLP_CONSTRAINTS

    def __init__(
        self,
        hidden_layer_sizes=(16,),
        *,
        how="gradmax",
        where="auto",
        when="periodic",
        growth_rate=0.25,
        max_neurons=256,
        max_layers=6,
        max_parameters=None,
        max_time=None,
        max_iter=200,
        batch_size=128,
        learning_rate_init=1e-3,
        alpha=1e-4,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        warm_start=False,
        random_state=None,
        device="cpu",
        verbose=0,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.how = how
        self.where = where
        self.when = when
        self.growth_rate = growth_rate
        self.max_neurons = max_neurons
        self.max_layers = max_layers
        self.max_parameters = max_parameters
        self.max_time = max_time
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.random_state = random_state
        self.device = device
        self.verbose = verbose


class ClassifierParameters(Parameters):
    """Those that only a classifier has come on top."""

    _parameter_constraints: dict = {  # noqa: RUF012, scikit-learn's way
        **MLP_CONSTRAINTS,
        "class_weight": [StrOptions({"balanced"}), dict, None],
    }

    def __init__(
        self,
        hidden_layer_sizes=(16,),
        *,
        how="gradmax",
        where="auto",
        when="periodic",
        growth_rate=0.25,
        max_neurons=256,
        max_layers=6,
        max_parameters=None,
        max_time=None,
        max_iter=200,
        batch_size=128,
        learning_rate_init=1e-3,
        alpha=1e-4,
        early_stopping="auto",
        validation_fraction=0.1,
        n_iter_no_change=10,
        tol=1e-4,
        class_weight=None,
        warm_start=False,
        random_state=None,
        device="cpu",
        verbose=0,
    ):
        super().__init__(
            hidden_layer_sizes,
            how=how,
            where=where,
            when=when,
            growth_rate=growth_rate,
            max_neurons=max_neurons,
            max_layers=max_layers,
            max_parameters=max_parameters,
            max_time=max_time,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate_init=learning_rate_init,
            alpha=alpha,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            tol=tol,
            warm_start=warm_start,
            random_state=random_state,
            device=device,
            verbose=verbose,
        )
        self.class_weight = class_weight
