"""The documents: their Python blocks run, and their links lead somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
PAGES += [ROOT / "skgrow" / "growth" / "README.md", ROOT / "CONTRIBUTING.md"]
# What a page takes for granted.
GIVEN = {"files.md": "from sklearn.datasets import load_iris\n"
         "from skgrow import GrowingNAMClassifier\n"
         "X, y = load_iris(return_X_y=True)\n"}  # fmt: skip


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)


def name(page):
    return str(page.relative_to(ROOT))


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
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [
        link
        for link in links
        if not re.match(r"https?://|mailto:", link) and not (page.parent / link).exists()
    ]
    assert not missing


def test_the_readme_shows_what_it_promises():
    text = (ROOT / "README.md").read_text()
    for command in ("quickstart", "test"):
        assert text.count(f"<!-- command:{command} -->") == 1
    assert len(blocks(ROOT / "README.md")) >= 4
