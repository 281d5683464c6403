"""The documents: their Python blocks run, their links lead somewhere, words are words."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import sklearn.datasets

import skgrow
import skgrow.plotting

ROOT = Path(__file__).parents[2]
GENERATED = [ROOT / "docs" / name for name in ("_build", "api", "auto_examples")]
DOCS = [
    page
    for page in sorted(ROOT.glob("docs/**/*.md"))
    if not any(page.is_relative_to(folder) for folder in GENERATED)
]
PAGES = [ROOT / "README.md", *DOCS]
PAGES += [ROOT / "skgrow/growth/reuse/README.md", ROOT / "CONTRIBUTING.md"]
EXAMPLES = sorted(ROOT.glob("examples/plot_*.py"))
# What a page takes for granted.
GIVEN = {"files.md": "from sklearn.datasets import load_iris\n"
         "from skgrow import GrowingNAMClassifier\n"
         "X, y = load_iris(return_X_y=True)\n"}  # fmt: skip


# A small file in place of the census, which a reader has.
ADULT = """
import numpy as np
import pandas as pd
rng = np.random.RandomState(0)
frame = pd.DataFrame({"age": rng.randint(18, 90, 900)})
frame["sex"] = rng.choice(["f", "m"], 900)
frame["income"] = np.where(frame["age"] + 9 * rng.randn(900) > 50, ">50K", "<=50K")
frame.loc[::7, "sex"] = None
frame.to_csv("adult.csv", index=False)
"""
GIVEN["README.md"] = ADULT


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)


def links(page):
    """What is linked to, as pairs of a place and an anchor in it."""
    return re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", page.read_text())


def name(page):
    return str(page.relative_to(ROOT))


@pytest.fixture
def no_windows():
    """Draw in memory, and close what was drawn."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


@pytest.fixture
def smaller_data(monkeypatch):
    """Six columns of thirty and every other row: the grid search would take a minute."""

    def six_columns(**options):
        data = load_breast_cancer(**options)
        if options != {"return_X_y": True}:
            return data
        X, y = data
        return X[::2, :6], y[::2]

    load_breast_cancer = sklearn.datasets.load_breast_cancer
    monkeypatch.setattr(sklearn.datasets, "load_breast_cancer", six_columns)


@pytest.fixture
def fewer_passes(monkeypatch):
    """A tenth of what a reader gets who does not say how many."""
    for name in ("NAMClassifier", "NAMRegressor", "MLPClassifier", "MLPRegressor"):
        defaults = getattr(skgrow, f"Growing{name}").__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "max_iter", 10)


@pytest.mark.slow
@pytest.mark.usefixtures("no_windows", "smaller_data", "fewer_passes")
@pytest.mark.filterwarnings("ignore::skgrow.GrowthStoppedWarning")
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page)], ids=name)
def test_python_blocks_run(page, tmp_path, monkeypatch, capsys):
    """In the order of the page, as a reader types them into one session."""
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(GIVEN.get(page.name, ""), names)
    for block in blocks(page):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_inside_the_project_lead_somewhere(page):
    missing = [
        place
        for place, _ in links(page)
        if not re.match(r"https?://|mailto:", place)
        and not (page.parent / place).exists()
    ]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_to_the_gallery_name_an_example(page):
    """The pages that Sphinx makes of examples; it checks the links once more."""
    shown = {f"#sphx_glr_auto_examples_{example.name}" for example in EXAMPLES}
    anchors = {anchor for place, anchor in links(page) if not place}
    assert {a for a in anchors if a.startswith("#sphx_glr")} <= shown


def test_the_readme_shows_what_it_promises():
    text = (ROOT / "README.md").read_text()
    for command in ("quickstart", "test"):
        assert text.count(f"<!-- command:{command} -->") == 1
    assert len(blocks(ROOT / "README.md")) >= 4


def test_every_page_of_the_guide_has_a_runnable_block():
    guide = [*ROOT.glob("docs/guide/*.md"), ROOT / "docs" / "getting_started.md"]
    assert len(guide) >= 7
    assert not [page for page in guide if not blocks(page)]


def test_every_public_name_has_a_page_in_the_api():
    listed = re.findall(r"^   (\w+)$", (ROOT / "docs" / "api.md").read_text(), re.M)
    public = {*skgrow.__all__, *skgrow.plotting.__all__, *skgrow.policies.__all__}
    public -= {"__version__", "SKOPS_TYPES", "policies"}  # no pages of their own
    assert sorted(listed) == sorted(public)


@pytest.mark.parametrize(
    "page",
    [
        ROOT / "docs/method.md",
        ROOT / "docs/design.md",
        ROOT / "docs/glossary.md",
        ROOT / "skgrow/growth/reuse/README.md",
    ],
    ids=name,
)
def test_the_names_of_the_code_are_in_the_code(page):
    """So that a page does not go on about what was renamed long ago."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    spans = re.findall(r"`([^`\n]+)`", text)
    quoted = {word for span in spans for word in span.split(".")}
    names = {word for word in quoted if re.fullmatch(r"_?[A-Za-z]+(_[a-z]+)+_?", word)}
    code = ""
    for folder in ("skgrow", "tests", "examples"):
        for file in ROOT.glob(f"{folder}/**/*.py"):
            code += f"{file.stem}\n{file.read_text()}"
    assert len(names) > 5
    assert not [name for name in names if not re.search(rf"\b{name}\b", code)]


def test_spelling():
    """Common misspellings, in prose and code; names that look like one are listed."""
    pytest.importorskip("codespell_lib")
    found = subprocess.run(
        [sys.executable, "-m", "codespell_lib"], cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stdout + found.stderr
