"""One event of growth: which policies, how much the budgets allow, and its record."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from time import perf_counter

import numpy as np

from skgrow.growth.inside.how import HOW
from skgrow.growth.inside.limits import as_policy, check_axis
from skgrow.growth.inside.probe import Probe
from skgrow.growth.inside.protocols import Begins, How, Shrinks, Sizes, Steps, When, Where
from skgrow.growth.inside.returned import check_places, check_returned, check_size
from skgrow.growth.inside.surgery import connect_used
from skgrow.growth.inside.when import WHEN
from skgrow.growth.inside.where import WHERE, as_where

__all__ = ["GrowthStep"]

PROBE_ROWS = 1024
DEFAULT_WHERE = {"width": "all", "depth": "top"}


@dataclass(frozen=True)
class GrowthStep:
    """What the parameters of an estimator ask of every growth."""

    how: How
    where: Where
    when: When
    names: tuple
    growth_rate: float
    max_neurons: int | None
    max_layers: int | None

    @classmethod
    def of(cls, estimator):
        """The policies that the parameters of an estimator name, or ValueError."""
        how = as_policy("how", estimator.how, HOW, How)
        check_axis("how", how, ("width", "depth"))
        words = {"auto": WHERE[DEFAULT_WHERE[how.axis]], **WHERE}
        where = as_policy("where", as_where(estimator.where), words, Where)
        check_axis("where", where, ("width", "depth", "both"))
        when = as_policy("when", estimator.when, WHEN, When)
        if where.axis not in (how.axis, "both"):
            raise ValueError(
                f"how={estimator.how!r} grows the {how.axis} of a network, and where="
                f"{estimator.where!r} places growth in its {where.axis}; take "
                f'where="auto", or another of one kind.'
            )
        names = (type(how).__name__, type(where).__name__)
        budgets = (estimator.max_neurons, estimator.max_layers)
        return cls(how, where, when, names, float(estimator.growth_rate), *budgets)

    def begin(self, net, random_state):
        """The network to start training with."""
        if not isinstance(self.how, Begins):
            return net
        begun = self.how.begin(net, random_state)
        return check_returned(begun, net, f"{self.names[0]}.begin")

    @property
    def shrinks(self):
        """Whether the network is made smaller when training has ended."""
        return isinstance(self.how, Shrinks)

    def smaller(self, net):
        """A network with fewer parameters, or None; of a `how` that shrinks."""
        found, name = self.how.smaller(net), f"{self.names[0]}.smaller"
        if found is None:
            return None
        if check_returned(found, net, name).n_parameters >= net.n_parameters:
            raise ValueError(
                f"{name} returned a network of {found.n_parameters} parameters, and the "
                f"one before has {net.n_parameters}; it must have fewer, or be None."
            )
        return found

    def size(self, net):
        """Units, or layers, of the next event; 0 where a budget is spent."""
        now, (_, budget) = self._now(net), self._budget
        most = np.inf if budget is None else budget
        if isinstance(self.how, Sizes):
            wanted = self.how.growth_size(net)
        else:
            wanted = 1 if self._is_depth else max(1, round(self.growth_rate * now))
        return int(max(0, min(wanted, most - now)))

    @property
    def _is_depth(self):
        return self.how.axis == "depth"

    @property
    def _budget(self):
        """The budget's name, and what it is."""
        name = "max_layers" if self._is_depth else "max_neurons"
        return name, self.max_layers if self._is_depth else self.max_neurons

    def _now(self, net):
        """Layers, or units, that there are."""
        return net.n_hidden if self._is_depth else net.n_units

    def asked(self, net, n_neurons, n_layers):
        """What a user asks for by hand, checked."""
        both = (("n_neurons", n_neurons), ("n_layers", n_layers))
        (name, count), (no, other) = reversed(both) if self._is_depth else both
        if other is not None:
            raise ValueError(
                f"{no}={other!r} was given, but {self.names[0]} grows the "
                f"{self.how.axis} of a network; pass {name}."
            )
        if isinstance(count, bool) or not isinstance(count, Integral) or count < 0:
            raise ValueError(
                f"{name} must be a whole number of 0 or more, got {count!r}."
            )
        now, (budget, most) = self._now(net), self._budget
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
        check_places(places, net, n_new, f"{self.names[1]}.choose")
        places = {int(i): int(n) for i, n in places.items() if n}
        grown, inactive = net, []
        for i in sorted(places, reverse=True):  # from the top: numbers below stay
            before, grown = grown, self._started(grown, i, places[i], probe)
            if not self._is_depth:
                fresh = slice(before.widths[i], None)
                inactive.append(places[i] * probe.inactive(grown, i, fresh))
        grown = connect_used(grown)
        policies = (self.how, self.where)
        n_steps = sum(p.n_steps for p in policies if isinstance(p, Steps))
        return grown, {
            **self._changes(net, grown, probe),
            "where": self.names[1],
            "places": places,
            "n_new": n_new,
            "inactive": sum(inactive) / n_new if inactive else 0.0,
            "n_multiply_adds": 3 * grown.n_multiply_adds * len(probe.rows) * n_steps,
            "seconds": perf_counter() - start,
        }

    def _started(self, net, i, n_new, probe):
        """The network with new parts, as `how` starts them."""
        name = f"{self.names[0]}.start"
        grown = check_returned(self.how.start(net, i, n_new, probe), net, name)
        check_size(grown, net, self.how.axis, i, n_new, name)
        return grown

    def record_smaller(self, net, smaller, rows, seed, seconds):
        """The record of a step after which the network is smaller."""
        before, after = self._now(net), self._now(smaller)
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
