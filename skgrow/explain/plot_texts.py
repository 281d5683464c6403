"""Texts on axes: short, and different for different values."""

from __future__ import annotations

from collections import Counter

__all__ = ["LONGEST_NAME", "short", "short_names", "value_names"]

LONGEST_NAME = 24  # letters of a category or a column on an axis
FEWEST_DIGITS, MOST_DIGITS = 3, 17


def short(name, longest=LONGEST_NAME):
    """The name, or its beginning."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def short_names(names, longest=LONGEST_NAME):
    """Names of at most `longest` letters, a few more where they would be alike.

    Examples
    --------
    >>> from skgrow.explain.plot_texts import short_names
    >>> short_names(["population in 1990", "population in 2000", "area"], 12)
    ['popul…n 1990', 'popul…n 2000', 'area']
    """
    result = [short(name, longest) for name in names]
    for cut in (lambda name: _without_middle(name, longest), str):
        alike = _alike(result)
        result = [
            cut(name) if found in alike else found
            for name, found in zip(names, result, strict=True)
        ]
    return result


def value_names(values):
    """Texts of a column's values: categories, numbers, and None for missing.

    Examples
    --------
    >>> from skgrow.explain.plot_texts import value_names
    >>> value_names([0.5, 1200.0, None]), value_names([1, "1", "missing", " ", None])
    (['0.5', '1,200', 'missing'], ['1', "'1'", "'missing'", "' '", 'missing'])
    """
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, float) for value in there):
        names = _numbers(there)
    else:
        names = [str(value) for value in there]
        alike = _alike([*names, "missing"] if None in values else names)
        names = [
            repr(value) if name in alike or not name or name != name.strip() else name
            for value, name in zip(there, names, strict=True)
        ]
        names = short_names(names)
    names = iter(names)
    return ["missing" if value is None else next(names) for value in values]


def _alike(names):
    return {name for name, count in Counter(names).items() if count > 1}


def _without_middle(name, longest):
    if len(name) <= longest:
        return name
    n_last = longest // 2
    return name[: longest - 1 - n_last] + "…" + name[-n_last:]


def _numbers(values):
    """With as many digits as tell them apart."""
    for n_digits in range(FEWEST_DIGITS, MOST_DIGITS + 1):
        names = [_number(value, n_digits) for value in values]
        if not _alike(names):
            break
    return names


def _number(value, n_digits):
    if abs(value) >= 10**n_digits and n_digits == FEWEST_DIGITS:
        return f"{value:,.0f}"
    return f"{value:,.{n_digits}g}"
