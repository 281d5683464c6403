"""Docstrings of the public names: numpydoc's rules, and an example for each name."""

import inspect
import sys

import pytest

import skgrow
import skgrow.plotting
import skgrow.policies

numpydoc = pytest.importorskip("numpydoc.validate", reason="numpydoc is for the docs")

# Left out: rules of style (SS05, RT02 to RT05, GL01), a See Also (SA01) and an extended
# summary (ES01) for everything, and a description of parameters whose shape says all, as
# X (PR07). Examples (EX01) are asked of names, where their methods are shown at work.
ASKED = {
    "GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10", "PR01", "PR02", "PR03",
    "PR04", "PR05", "PR10", "RT01", "SA04", "SS01", "SS04", "YD01",
}  # fmt: skip
NO_DOCSTRING = {"__version__", "SKOPS_TYPES", "policies"}  # values, and a module
NAMES = [
    f"{module.__name__}.{name}"
    for module in (skgrow, skgrow.plotting)
    for name in module.__all__
    if name not in NO_DOCSTRING
]
# What a user writes a policy with. `*args` of a protocol are Python's: nobody calls it.
PROTOCOLS = [
    f"skgrow.policies.{name}"
    for name in ("Begins", "How", "Shrinks", "Sizes", "Steps", "When", "Where")
]
OPERATIONS = ("Probe", "add_units", "branch_layer", "insert_block")
NAMES += [f"skgrow.policies.{name}" for name in OPERATIONS]
NAMES += PROTOCOLS
POLICIES = {f"skgrow.policies.{name}" for name in skgrow.policies.__all__} - {*NAMES}


def members():
    """Public methods and properties that are written here, not in scikit-learn."""
    for path in NAMES:
        module, name = path.rsplit(".", 1)
        for member, value in inspect.getmembers(getattr(sys.modules[module], name)):
            code = inspect.unwrap(getattr(value, "fget", value) or value)
            ours = getattr(code, "__module__", None) or ""
            if not member.startswith("_") and ours.startswith("skgrow"):
                yield f"{path}.{member}"


@pytest.mark.parametrize("name", [*NAMES, *members(), *sorted(POLICIES)])
def test_docstring(name):
    asked = ASKED | {"EX01"} if name in NAMES else ASKED
    asked = asked - {"PR01"} if name in PROTOCOLS else asked
    errors = numpydoc.validate(name)["errors"]
    assert not [error for error in errors if error[0] in asked]
