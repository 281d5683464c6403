"""The architecture: imports run downwards only, and none stands inside a function."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import skgrow

PACKAGE = Path(skgrow.__file__).parent
# From the bottom up: a module imports from its own layer and from those below.
LAYERS = (
    ("exceptions",),
    ("runtime",),
    ("inputs",),
    ("networks",),
    ("training",),
    ("growth",),
    ("explain", "files"),
    ("estimators",),
    ("plotting", "policies", "_stored", "skgrow"),
)
# Of `growth`: what is inside one network, and the paper's steps, which transfer uses.
GROWTH_LAYERS = (("inside", "reuse"), ("transfer",))
# Classes register with the codec: it must know none of them.
CODEC = ("files.codec", "files.declared", "files.schema", "files.persistence")


def modules():
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__") or "skgrow"] = file
    return found


MODULES = modules()


def imported(tree):
    """Names of our modules that a tree imports, with the nodes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "skgrow":
                yield node, resolved(name)


def resolved(name):
    """The module that a dotted name is, or is in."""
    parts = name.split(".")[1:]
    while parts and ".".join(parts) not in MODULES:
        parts = parts[:-1]
    return ".".join(parts) or "skgrow"


@cache
def graph():
    return {
        name: {other for _, other in imported(ast.parse(file.read_text()))} - {name}
        for name, file in MODULES.items()
    }


def rank(name, layers):
    [level] = [i for i, layer in enumerate(layers) if name in layer]
    return level


def test_every_module_has_a_layer():
    tops = {name.split(".")[0] for name in MODULES}
    assert tops == {name for layer in LAYERS for name in layer}


@pytest.mark.parametrize("name", MODULES)
def test_imports_run_downwards(name):
    own = name.split(".")
    for other in sorted(graph()[name]):
        parts = other.split(".")
        if other in ("skgrow", *{".".join(own[:i]) for i in range(1, len(own))}):
            raise AssertionError(f"{name} imports {other}, which it is a part of")
        own_rank, other_rank = rank(own[0], LAYERS), rank(parts[0], LAYERS)
        assert other_rank <= own_rank, f"{name} imports {other}"
        if own_rank == other_rank:  # neighbours know nothing of each other
            assert own[0] == parts[0] or own_rank == len(LAYERS) - 1, (name, other)
        if own[0] == parts[0] == "growth":
            inner = [rank(p[1], GROWTH_LAYERS) for p in (own, parts)]
            assert inner[1] <= inner[0], f"{name} imports {other}"
            assert own[1] == parts[1] or inner[1] < inner[0], f"{name} imports {other}"


def test_there_is_no_circle():
    TopologicalSorter(graph()).prepare()  # raises CycleError


def test_the_codec_knows_no_class():
    for name in CODEC:
        known = {other.split(".")[0] for other in graph()[name]}
        assert known <= {"files", "exceptions", "runtime"}, name


@pytest.mark.parametrize("name", MODULES)
def test_our_imports_stand_at_the_top(name):
    """One inside a function would hide a circle."""
    tree = ast.parse(MODULES[name].read_text())
    inner = [node.lineno for node, _ in imported(tree) if node not in tree.body]
    assert not inner, f"lines {inner}"


def test_the_test_sees_imports_inside_functions():
    tree = ast.parse("def f():\n    from skgrow.networks import bank\n")
    [(node, name)] = imported(tree)
    assert (name, node in tree.body) == ("networks.bank", False)
