"""Docstrings of the public names: numpydoc's rules, and an example for each name."""

import inspect

import pytest

import skgrow
import skgrow.plotting

numpydoc = pytest.importorskip("numpydoc.validate", reason="numpydoc is for the docs")

# Left out: rules of style (SS05, RT02 to RT05, GL01), a See Also (SA01) and an extended
# summary (ES01) for everything, and a description of parameters whose shape says all, as
# X (PR07). Examples (EX01) are asked of names, where their methods are shown at work.
ASKED = {
    "GL03", "GL05", "GL06", "GL07", "GL08", "GL09", "GL10", "PR01", "PR02", "PR03",
    "PR04", "PR05", "PR10", "RT01", "SA04", "SS01", "SS04", "YD01",
}  # fmt: skip
NAMES = [
    f"{module.__name__}.{name}"
    for module in (skgrow, skgrow.plotting)
    for name in module.__all__
    if name != "__version__"
]


def members():
    """Public methods and properties that are written here, not in scikit-learn."""
    for module in (skgrow, skgrow.plotting):
        for name in module.__all__:
            for member, value in inspect.getmembers(getattr(module, name)):
                code = inspect.unwrap(getattr(value, "fget", value) or value)
                ours = getattr(code, "__module__", None) or ""
                if not member.startswith("_") and ours.startswith("skgrow"):
                    yield f"{module.__name__}.{name}.{member}"


@pytest.mark.parametrize("name", [*NAMES, *members()])
def test_docstring(name):
    asked = ASKED | {"EX01"} if name in NAMES else ASKED
    errors = numpydoc.validate(name)["errors"]
    assert not [error for error in errors if error[0] in asked]
