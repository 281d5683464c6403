"""What every estimator of this package has: its fitted state, pickles, tables in HTML."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version

from sklearn.utils.validation import check_is_fitted

from skgrow.exceptions import ModelVersionWarning
from skgrow.inputs.checks import check_device
from skgrow.inputs.reading import is_for_pixels, read
from skgrow.runtime.progress import CallbackSupportMixin

__all__ = ["FittedMixin"]

ADDRESS = re.compile(r'\s(?:href|rel|target)="[^"]*"')


class FittedMixin(CallbackSupportMixin):
    """An estimator whose fitted state is one frozen object, `_state`.

    scikit-learn shows a description only beside a link to pages that are online. Ours
    are not: the names have their descriptions all the same, and lead nowhere. Setting
    `_doc_link_template` gives them, and the estimator, an address.
    """

    _doc_link_module = "skgrow"
    _doc_link_template = ""  # or an address, in which "{estimator_name}" is filled in

    @property
    def growth_history_(self):
        """A list of dicts, one for each round of growth."""
        return list(self._fitted().history.growth)

    @property
    def n_parameters_(self):
        """Trained numbers."""
        return self._fitted().network.n_parameters

    @property
    def n_multiply_adds_(self):
        """Multiply-adds to predict one row."""
        return self._fitted().network.n_multiply_adds

    def _fitted(self):
        """The fitted state, or an error of those that `hasattr` takes for no."""
        try:
            return vars(self)["_state"]
        except KeyError:
            raise AttributeError(
                f"this {type(self).__name__} is not fitted yet; call fit first."
            ) from None

    def _scores(self, X):
        """Scores `(n_samples, n_outputs)` of what a user passes."""
        check_is_fitted(self)
        check_device(self.device)
        state = self._state
        X = read(self, state.inputs, X)
        return state.network.logits(X, state.inputs.scaler, self.device)

    @property
    def _is_fitted(self):
        return "_state" in vars(self)

    @property
    def _class_weight(self):
        """Of classifiers; regressors have none."""
        return getattr(self, "class_weight", None)

    def __sklearn_is_fitted__(self):
        return self._is_fitted

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

    def _get_params_html(self, *args, **kwargs):
        return _described(super()._get_params_html(*args, **kwargs))

    def _get_fitted_attr_html(self, *args, **kwargs):  # from scikit-learn 1.9 on
        return _described(super()._get_fitted_attr_html(*args, **kwargs))


def _described(table):
    """The table with descriptions, and no address where it has none."""
    if getattr(table, "doc_link", None) == "":  # no such thing before scikit-learn 1.8
        draw = table._html_repr
        table.doc_link = "nowhere"
        table._html_repr = lambda: ADDRESS.sub("", draw())
    return table
