"""What every fitted network of this package answers."""

from __future__ import annotations

import warnings
from importlib.metadata import version

import numpy as np
from scipy.special import log_softmax, softmax
from sklearn.utils.validation import check_is_fitted

from skgrow.estimators.html_display import DisplayMixin
from skgrow.exceptions import ModelVersionWarning
from skgrow.inputs.checks import check_device
from skgrow.inputs.reading import is_for_pixels, read
from skgrow.runtime.surroundings import reads

__all__ = ["FittedMixin", "NetworkMixin", "PredictingMixin"]


class FittedMixin(DisplayMixin):
    """What every estimator has around its `_network`: pickles, errors, scores.

    It has `_dtype` and `_scores(X, device)`.
    """

    @property
    def n_multiply_adds_(self):
        """Multiply-adds to predict one row."""
        network = self._fitted("_network")
        return network.n_multiply_adds

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = not is_for_pixels(self)
        return tags

    def __getstate__(self):
        return {**super().__getstate__(), "_skgrow_version": version("skgrow")}

    def __setstate__(self, state):
        state = dict(state)
        written, here = state.pop("_skgrow_version", None), version("skgrow")
        if written != here:
            warnings.warn(
                f"This pickle of a {type(self).__name__} was written by skgrow "
                f"{written or 'of an unknown version'}; this is {here}, and it may not "
                "work. Files of skgrow.save can be read by later versions.",
                ModelVersionWarning,
                stacklevel=2,
            )
        super().__setstate__(state)

    def _fitted(self, name):
        try:
            return vars(self)[name]
        except KeyError:
            raise AttributeError(
                f"this {type(self).__name__} is not fitted yet; call fit first."
            ) from None

    def _logits(self, X):
        check_is_fitted(self)
        check_device(self.device)
        return self._scores(read(self, X), self.device)


class NetworkMixin(FittedMixin):
    """Facts of a fitted `_network` of branches, whatever it predicts."""

    @property
    def n_branches_(self):
        """Number of grown branches."""
        return len(self._fitted("_network").grown)

    @property
    @reads
    def grown_branches_(self):
        """One record a grown branch: what is used where, for which class, and why.

        A list of dicts: region (columns in the order the branch reads them), branch,
        branch_class, target_class, threshold, span, scale, bias, precision, recall and
        bound (Hoeffding's lower bound of the precision). On another task, branch_class
        is the number of the source's output.
        """
        return self._fitted("_network").grown.records(
            self._output_names,
            getattr(self, "feature_names_in_", None),
            getattr(self, "_source_classes", None),
        )

    @property
    def _output_names(self):
        return self.classes_

    @property
    def _dtype(self):
        return self._network.grown.bank.dtype

    def _scores(self, X, device):
        return self._network.logits(X, self._scaler, device)


class PredictingMixin(FittedMixin):
    """Predictions and facts, from `_network`, `_scaler` and `classes_`."""

    @reads
    def decision_function(self, X):
        """Scores of the classes, in logits.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples, n_classes) or (n_samples,)
            With two classes, the log-odds of the second.
        """
        logits = self._logits(X)
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    @reads
    def predict_log_proba(self, X):
        """Log probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        log_proba : ndarray of shape (n_samples, n_classes)
            In nats; columns in the order of `classes_`.
        """
        log_proba = log_softmax(self._logits(X), axis=1)
        return np.maximum(log_proba, np.log(np.finfo(log_proba.dtype).tiny))

    @reads
    def predict_proba(self, X):
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        proba : ndarray of shape (n_samples, n_classes)
            Rows sum to 1; columns in the order of `classes_`.
        """
        proba = softmax(self._logits(X), axis=1)
        return np.maximum(proba, np.finfo(proba.dtype).tiny)  # its log is finite

    @reads
    def predict(self, X):
        """Label of highest score for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,)
            Labels out of `classes_`.
        """
        best = self._logits(X).argmax(axis=1)
        return self.classes_[best]
