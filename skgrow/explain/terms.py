"""Terms of a network: which there are, what they are called, and which one is meant."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from numbers import Integral

__all__ = ["TermNames", "terms_of"]

NAMED_COLUMNS = 3  # a term of more columns is named by the first and the last
SEPARATOR = " & "
STOPS = re.compile(rf"(?={SEPARATOR}|\Z)")  # where a name may end
MOST_READINGS = 3  # of a name, that a message shows
MOST_NAMES = 30  # likewise


def terms_of(network):
    """Number of each term by its columns, in order.

    Terms of the base network come first, then those that only grown branches have.
    """
    curves, surfaces = network.curves, network.surfaces
    active = [] if curves is None else curves.active
    terms = {(j,): number for number, j in enumerate(active)}
    pairs = [] if surfaces is None else surfaces.pairs.tolist()
    regions = network.bank.seen.tolist(), network.grown.uses.seen.tolist()
    for region in (*regions[0], *pairs, *regions[1]):
        terms.setdefault(tuple(sorted(set(region))), len(terms))
    return terms


class TermNames:
    """Names of terms, each of which means one set of columns.

    A term is named by its columns, as "age & town"; of more than three columns by the
    first and the last. Where that can be read in another way, as with the columns "a",
    "b" and "a & b", the columns stand in quotes: "'a' & 'b'" and "'a & b'".

    Parameters
    ----------
    columns : sequence of str
        Names of all columns.

    Examples
    --------
    >>> from skgrow.explain.terms import TermNames
    >>> names = TermNames(["a", "b", "a & b", "c"])
    >>> terms = [(0, 1), (2,), (0, 3)]
    >>> names.of(terms)
    ["'a' & 'b'", "'a & b'", 'a & c']
    >>> names.find("a & c", terms), names.find(("a", "b"), terms)
    ((0, 3), (0, 1))
    """

    def __init__(self, columns):
        self.columns = [str(name) for name in columns]
        self._number = {name: j for j, name in enumerate(self.columns)}
        self._is_odd = len(self._number) < len(self.columns) or any(
            SEPARATOR in f" {name} " or name[:1] in ("'", '"') or name == "..."
            for name in self.columns
        )

    def of(self, terms):
        """Name of each term, a list of str; all are different."""
        short = Counter(self._short(term) for term in terms)
        return [self._name(term, short) for term in terms]

    def find(self, wanted, terms):
        """The term that is meant, a tuple of column numbers.

        Parameters
        ----------
        wanted : str or tuple
            Name of a term, or numbers or names of its columns in any order.
        terms : iterable of tuple of int
            All terms there are.

        Raises
        ------
        ValueError
            If there is no such term, or the name can mean several.
        """
        if isinstance(wanted, str):
            found = self._meant(wanted, terms)
        else:
            found = [t for t in [self._term(wanted)] if t in set(terms)]
        if not found:
            names = self.of(list(terms))
            more = ", ..." if len(names) > MOST_NAMES else ""
            raise ValueError(
                f"term={wanted!r} is not one of the terms: "
                f"{str(names[:MOST_NAMES])[:-1]}{more}]."
            )
        if len(found) > 1:
            raise ValueError(
                f"term={wanted!r} can mean several sets of columns; give one of "
                f"these tuples: {self._as_tuples(found[:MOST_READINGS])}."
            )
        return found[0]

    def _names_of(self, term):
        return [self.columns[j] for j in term]

    def _short(self, term):
        names = self._names_of(term)
        if len(names) <= NAMED_COLUMNS:
            return SEPARATOR.join(names)
        return f"{names[0]} & ... & {names[-1]} ({len(names)} columns)"

    def _forms(self, term):
        """All that the term may be called."""
        names = self._names_of(term)
        plain = SEPARATOR.join(names)
        quoted = SEPARATOR.join(map(repr, names))
        numbers = ", ".join(map(str, term))
        return self._short(term), plain, quoted, f"{plain} (columns {numbers})"

    def _name(self, term, short):
        """The shortest form that means this term alone."""
        forms = self._forms(term)
        if not self._is_odd:
            return forms[0] if short[forms[0]] == 1 else forms[1]
        if any(self.columns.count(name) > 1 for name in self._names_of(term)):
            return forms[3]
        for form in forms[:2]:
            if short[form] <= 1 and set(self._readings(form)) <= {term}:
                return form
        return forms[2]

    def _meant(self, wanted, terms):
        """Terms that `wanted` is a form of, and other ways to read it."""
        found = [term for term in terms if wanted in self._forms(term)]
        if self._is_odd and found:
            found += [t for t in self._readings(wanted) if t not in found]
        return found

    def _readings(self, text):
        """Ascending sets of columns whose names joined are `text`, some of them."""
        known = {}

        def readings(start, after):
            if (start, after) not in known:
                found = []
                for match in re.finditer(STOPS, text[start:]):
                    stop = start + match.start()
                    number = self._number.get(text[start:stop], -1)
                    if number <= after:
                        continue
                    if stop == len(text):
                        found.append((number,))
                    else:
                        rest = readings(stop + len(SEPARATOR), number)
                        found += [(number, *term) for term in rest]
                known[start, after] = found[:MOST_READINGS]
            return known[start, after]

        return readings(0, -1)

    def _term(self, wanted):
        """Column numbers of a tuple of names or numbers."""
        if not isinstance(wanted, tuple) or not wanted:
            raise ValueError(
                f"term={wanted!r} must be the name of a term, or a tuple of the "
                "numbers or names of its columns."
            )
        term = sorted(self._column(one, wanted) for one in wanted)
        if any(a == b for a, b in pairwise(term)):
            raise ValueError(f"term={wanted!r} has a column twice.")
        return tuple(term)

    def _column(self, one, wanted):
        is_number = isinstance(one, Integral) and not isinstance(one, bool)
        if is_number and 0 <= one < len(self.columns):
            return int(one)
        n_alike = self.columns.count(one) if isinstance(one, str) else 0
        if n_alike == 1:
            return self._number[one]
        problem = "names no column" if not n_alike else f"names {n_alike} columns"
        raise ValueError(f"term={wanted!r}: {one!r} {problem}.")

    def _as_tuples(self, terms):
        told = [tuple(self._names_of(term)) for term in terms]
        return str(told if len(set(told)) == len(told) else terms)[1:-1]
