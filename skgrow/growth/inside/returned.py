"""Whether what a policy returned can be used: a user's own may be wrong."""

from __future__ import annotations

from numbers import Integral

from skgrow.growth.inside.surgery import check_hidden
from skgrow.networks.perceptron import Perceptron

__all__ = ["check_places", "check_returned", "check_size"]


def check_returned(found, net, name):
    """The network that a policy made of `net`.

    Parameters
    ----------
    found : Perceptron
    net : Perceptron
    name : str
        Of the policy and its method, for messages.

    Returns
    -------
    found : Perceptron

    Raises
    ------
    TypeError
        If it is no network.
    ValueError
        If its arrays do not fit together, or its dtype, inputs or outputs are others.
    """
    if not isinstance(found, Perceptron):
        raise TypeError(
            f"{name} returned {found!r:.80}, and must return the network, a Perceptron."
        )
    misfits = found.misfits(net.layers[0].n_in, net.layers[-1].n_out)
    if misfits != ["layers"] and found.dtype != net.dtype:
        misfits.append(f"dtype ({found.dtype}, not {net.dtype})")
    if misfits:
        raise ValueError(
            f"{name} returned a network that does not fit to the one before: "
            f"{', '.join(misfits)}."
        )
    return found


def check_size(grown, net, axis, i, n_new, name):
    """Raise ValueError unless exactly `n_new` units, or layers, were added at `i`."""
    if axis == "width":
        wanted = (*net.widths[:i], net.widths[i] + n_new, *net.widths[i + 1 :])
        right = grown.widths == wanted
    else:
        right = grown.n_hidden == net.n_hidden + n_new
    if not right:
        what = f"units to layer {i}" if axis == "width" else f"layers above layer {i}"
        raise ValueError(
            f"{name} must add {n_new} {what}: there were hidden layers of {net.widths} "
            f"units, and now there are {grown.widths}."
        )


def check_places(places, net, n_new, name):
    """Raise ValueError unless `places` share `n_new` among hidden layers."""
    numbers = [*places, *places.values()] if isinstance(places, dict) else [None]
    whole = all(isinstance(n, Integral) and n >= 0 for n in numbers)
    if not whole or sum(places.values()) != n_new:
        raise ValueError(
            f"{name} returned {places!r}, and must return a dict of numbers by hidden "
            f"layer that sum to {n_new}."
        )
    for i in places:
        check_hidden(net, i)
