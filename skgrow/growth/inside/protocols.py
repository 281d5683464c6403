"""What an object must have to be a policy: how, where and when a network grows.

`How`, `Where` and `When` are what a policy must have, the other protocols what it may
have. They are structural: a class need not inherit from them. `limits` checks them before
any training, and `growth_step` is the only place where optional ones are looked for.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

__all__ = ["Begins", "How", "Shrinks", "Sizes", "Steps", "When", "Where"]


@runtime_checkable
class How(Protocol):
    """How new units, or new layers, start.

    A `How` may also be `Begins`, `Shrinks`, `Sizes` or `Steps`. An object that inherits
    from `sklearn.base.BaseEstimator` can be cloned and searched like ours.

    Attributes
    ----------
    axis : {"width", "depth"}
        Whether `start` adds units or layers.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.base import BaseEstimator
    >>> from skgrow.policies import How, add_units
    >>> class ZeroOutgoing(BaseEstimator):
    ...     '''Normal weights, and outgoing weights of 0: the outputs stay.'''
    ...     axis = "width"
    ...     def start(self, net, i, n_new, probe):
    ...         n_in, n_out = net.layers[i].n_in, net.layers[i + 1].n_out
    ...         fan_in = probe.random_state.normal(size=(n_new, n_in)) / n_in**0.5
    ...         bias, fan_out = np.zeros(n_new), np.zeros((n_out, n_new))
    ...         return add_units(net, i, fan_in, bias, fan_out)
    >>> isinstance(ZeroOutgoing(), How)
    True
    """

    axis: str

    def start(self, net, i, n_new, probe):
        """The network with `n_new` more units in hidden layer `i`, or layers above it.

        Called once for each layer that `Where.choose` named, the uppermost first, so that
        the indices of lower layers stay valid.

        Parameters
        ----------
        net : Perceptron
            Never changed in place. A layer has `weight (3, n_out, n_in)` and `bias
            (3, n_out)`: the values, and Adam's first and second moments of them.
        i : int
            Hidden layer, from 0 at the inputs; its units are read by `net.layers[i + 1]`.
            Either may be a parallel block, see `branch_layer`, which has no `weight`.
        n_new : int
            Units or layers to add, exactly.
        probe : Probe
            Rows, losses and gradients; all randomness is drawn from
            `probe.random_state`, else a seed no longer gives one network.

        Returns
        -------
        net : Perceptron
            Of the same dtype, inputs and outputs, and the same units in their order;
            new units of a layer are its last. Moments of what is new are zero.
        """


@runtime_checkable
class Where(Protocol):
    """Where new units, or new layers, go.

    Attributes
    ----------
    axis : {"width", "depth", "both"}
        Which kinds of `How` it can be used with.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from skgrow.policies import Where
    >>> class Narrowest(BaseEstimator):
    ...     '''All new units join the layer with the fewest.'''
    ...     axis = "width"
    ...     def choose(self, net, n_new, probe):
    ...         return {net.widths.index(min(net.widths)): n_new}
    >>> isinstance(Narrowest(), Where)
    True
    """

    axis: str

    def choose(self, net, n_new, probe):
        """New units, or layers, by hidden layer.

        Parameters
        ----------
        net : Perceptron
        n_new : int
            Units or layers to add in all.
        probe : Probe

        Returns
        -------
        places : dict of int to int
            How many of them each hidden layer gets, or gets above itself; they sum to
            `n_new`. Layers that get none may be left out.
        """


@runtime_checkable
class When(Protocol):
    """When a network grows.

    It is asked after every pass but the last. It keeps nothing between two calls: all it
    needs is in the arguments.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from skgrow.policies import When
    >>> class AtPasses(BaseEstimator):
    ...     '''Growth after the passes of a list.'''
    ...     def __init__(self, passes=(5, 10)):
    ...         self.passes = passes
    ...     def due(self, losses, events):
    ...         return len(losses) in self.passes
    >>> isinstance(AtPasses(), When)
    True
    """

    def due(self, losses, events):
        """Whether to grow now.

        Parameters
        ----------
        losses : list of float
            Of each pass so far; of held-out rows where there are any, else of training.
        events : list of int
            Number of passes that were done at each growth so far.

        Returns
        -------
        due : bool
        """


@runtime_checkable
class Begins(Protocol):
    """A `How` that changes the fresh network, before it is trained.

    Examples
    --------
    >>> from skgrow.policies import Begins, GradMax, NeST
    >>> isinstance(NeST(), Begins), isinstance(GradMax(), Begins)
    (True, False)
    """

    def begin(self, net, random_state):
        """The network to start training with.

        Parameters
        ----------
        net : Perceptron
            With weights drawn at random.
        random_state : RandomState
            All randomness is drawn from it.

        Returns
        -------
        net : Perceptron
            Of the same dtype, inputs and outputs.
        """


@runtime_checkable
class Shrinks(Protocol):
    """A `How` that makes the network smaller again when training has ended.

    The smaller network is kept if the loss of the held-out rows, else of the training
    rows, stays within `tol` of the lowest one of the networks before. Then `smaller` is
    called again with it.

    Attributes
    ----------
    n_retrain : int
        Passes of training before the smaller network is judged.
    tol : float
        How much higher its loss may be, in units of the loss.

    Examples
    --------
    >>> from skgrow.policies import GradMax, Morphism, NeST, Shrinks
    >>> [isinstance(how, Shrinks) for how in (NeST(), Morphism(), GradMax())]
    [True, True, False]
    """

    n_retrain: int
    tol: float

    def smaller(self, net):
        """A network with fewer parameters, or None when there is none to try.

        Parameters
        ----------
        net : Perceptron
            Never changed in place.

        Returns
        -------
        net : Perceptron or None
            Of the same dtype, inputs and outputs.
        """


@runtime_checkable
class Sizes(Protocol):
    """A `How` that sets how much one growth adds, in place of `growth_rate`.

    Without it a growth in width adds `growth_rate` times the units there are, and one in
    depth a single layer.

    Examples
    --------
    >>> from skgrow.policies import AutoGrow, Sizes, Stacking
    >>> isinstance(Stacking(), Sizes), isinstance(AutoGrow(), Sizes)
    (True, False)
    """

    def growth_size(self, net):
        """Units or layers of the next growth; budgets of the estimator may lower it.

        Parameters
        ----------
        net : Perceptron

        Returns
        -------
        size : int
        """


@runtime_checkable
class Steps(Protocol):
    """A `How` or `Where` that takes gradient steps on the rows of the probe.

    They are counted in `n_training_multiply_adds_` and in `growth_history_`.

    Attributes
    ----------
    n_steps : int
        Steps of one growth at most, each on all rows of the probe.

    Examples
    --------
    >>> from skgrow.policies import SWE, Net2Wider, Steps
    >>> isinstance(SWE(), Steps), isinstance(Net2Wider(), Steps)
    (True, False)
    """

    n_steps: int
