"""One event of growth: which policies, how much the budgets allow, and its record."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from time import perf_counter

import numpy as np

from skgrow.growth.inside.how import HOW
from skgrow.growth.inside.limits import check_policy
from skgrow.growth.inside.probe import Probe
from skgrow.growth.inside.surgery import connect_used
from skgrow.growth.inside.where import WHERE, as_where

__all__ = ["GrowthStep"]

PROBE_ROWS = 1024
DEFAULT_WHERE = {"width": "all", "depth": "top"}


@dataclass(frozen=True)
class GrowthStep:
    """What the parameters of an estimator ask of every growth."""

    how: object
    where: object
    names: tuple
    growth_rate: float
    max_neurons: int | None
    max_layers: int | None

    @classmethod
    def of(cls, estimator):
        """The policies that the words of an estimator mean, or ValueError."""
        how = estimator.how
        how = check_policy(HOW[how]() if isinstance(how, str) else how)
        where = estimator.where
        if isinstance(where, str) and where == "auto":
            where = DEFAULT_WHERE[how.axis]
        where = WHERE[where]() if isinstance(where, str) else as_where(where)
        check_policy(where)
        if where.axis not in (how.axis, "both"):
            raise ValueError(
                f"how={estimator.how!r} grows the {how.axis} of a network, and where="
                f"{estimator.where!r} says where its {where.axis} grows; take "
                f'where="auto", or another of one kind.'
            )
        names = (type(how).__name__, type(where).__name__)
        budgets = (estimator.max_neurons, estimator.max_layers)
        return cls(how, where, names, float(estimator.growth_rate), *budgets)

    def size(self, net):
        """Units, or layers, of the next event; 0 where a budget is spent."""
        if self.how.axis == "depth":
            most = np.inf if self.max_layers is None else self.max_layers
            doubled = getattr(self.how, "doubles", False)
            wanted = max(1, net.n_hidden - 1) if doubled else 1
            return int(max(0, min(wanted, most - net.n_hidden)))
        n_units = sum(net.widths)
        most = np.inf if self.max_neurons is None else self.max_neurons
        wanted = max(1, round(self.growth_rate * n_units))
        return int(max(0, min(wanted, most - n_units)))

    def asked(self, net, n_neurons, n_layers):
        """What a user asks for by hand, checked."""
        depth = self.how.axis == "depth"
        count, other = (n_layers, n_neurons) if depth else (n_neurons, n_layers)
        name, no = ("n_layers", "n_neurons") if depth else ("n_neurons", "n_layers")
        if other is not None:
            raise ValueError(
                f"{no}={other!r} was given, but {self.names[0]} grows the "
                f"{self.how.axis} of a network; pass {name}."
            )
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
            raise ValueError(
                f"{name} must be a whole number of 0 or more, got {count!r}."
            )
        now = net.n_hidden if depth else sum(net.widths)
        budget = "max_layers" if depth else "max_neurons"
        most = getattr(self, budget)
        if most is not None and now + count > most:
            raise ValueError(
                f"{now} and {name}={count} more are beyond {budget}={most}; raise it or "
                "add fewer."
            )
        return int(count)

    def take(self, net, rows, n_new, seed):
        """The grown network, and the record of the event as a dict."""
        start, probe = perf_counter(), _probe(rows, seed)
        places = self.where.choose(net, n_new, probe)
        grown, inactive = net, []
        for i in sorted(places, reverse=True):  # from the top: numbers below stay
            before = grown
            grown = self.how.start(grown, i, places[i], probe)
            if self.how.axis == "width":
                fresh = slice(before.widths[i], None)
                inactive.append(places[i] * probe.inactive(grown, i, fresh))
        grown = connect_used(grown)
        n_steps = sum(getattr(policy, "n_steps", 0) for policy in (self.how, self.where))
        return grown, {
            **self._changes(net, grown, probe),
            "where": self.names[1],
            "places": places,
            "n_new": n_new,
            "inactive": sum(inactive) / n_new if inactive else 0.0,
            "n_multiply_adds": 3 * grown.n_multiply_adds * len(probe.rows) * n_steps,
            "seconds": perf_counter() - start,
        }

    def record_smaller(self, net, smaller, rows, seed, seconds):
        """The record of a step after which the network is smaller."""
        width = self.how.axis == "width"
        before, after = (sum(n.widths) if width else n.n_hidden for n in (net, smaller))
        return {
            **self._changes(net, smaller, _probe(rows, seed)),
            "where": "",
            "places": {},
            "n_new": after - before,
            "inactive": 0.0,
            "n_multiply_adds": 0,
            "seconds": seconds,
        }

    def _changes(self, net, changed, probe):
        old, new = probe.outputs(net), probe.outputs(changed)
        return {
            "how": self.names[0],
            "n_parameters_before": net.n_parameters,
            "n_parameters": changed.n_parameters,
            "max_change": float(np.abs(new - old).max()),
            "loss_before": probe.loss(net),
            "loss": probe.loss(changed),
            "predicted_change": float((probe.signals(net)[1][-1] * (new - old)).sum()),
        }


def _probe(rows, seed):
    draw = np.random.RandomState(seed % 2**32)
    if len(rows) > PROBE_ROWS:
        index = draw.choice(len(rows), PROBE_ROWS, replace=False)
        rows = rows.take(np.sort(index))
    return Probe(rows, draw)
