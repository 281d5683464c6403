"""What a notebook shows of an estimator."""

import re

import pytest
import sklearn
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.fixes import parse_version

from skgrow import ElectionTransferClassifier, GrowingNAMClassifier

X, Y = load_iris(return_X_y=True)
VERSION = parse_version(sklearn.__version__)
tooltips = pytest.mark.skipif(
    parse_version("1.8") > VERSION, reason="tooltips came with scikit-learn 1.8"
)
fitted_table = pytest.mark.skipif(
    parse_version("1.9") > VERSION, reason="fitted attributes came with scikit-learn 1.9"
)


@pytest.fixture(scope="module")
def nam():
    return GrowingNAMClassifier(max_iter=3, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def vote(nam):
    return ElectionTransferClassifier(nam.bank_, n_branches=0).fit(X, Y)


def tooltip(html, name):
    """The description beside a name in one of the tables."""
    found = re.search(
        rf'<span class="param-doc-description"[^>]*>\s*{name}: (.*?)</span>', html, re.S
    )
    return found and found[1]


@tooltips
def test_every_parameter_has_a_tooltip(nam, vote):
    for model in (nam, vote):
        html = model._repr_html_()
        for name in model.get_params():
            assert tooltip(html, name), name
    assert "Passes over the training rows." in tooltip(nam._repr_html_(), "max_iter")


@fitted_table
def test_every_fitted_attribute_has_a_tooltip(nam, vote):
    for model in (nam, vote):
        html = model._repr_html_()
        assert "Fitted attributes" in html
        for name in dir(model):
            if name.endswith("_") and not name.startswith("_") and hasattr(model, name):
                assert tooltip(html, name), name


@tooltips
def test_tooltips_inside_a_pipeline(nam):
    html = make_pipeline(StandardScaler(), nam)._repr_html_()
    assert tooltip(html, "n_verified")


def test_no_link_leads_nowhere(nam, vote):
    """No pages of this package are online: a link could only be made up."""
    for model in (nam, vote):
        assert model._get_doc_link() == ""
        assert "href" not in re.sub(r"<(script|style).*?</\1>", "", model._repr_html_())
        assert "nowhere" not in model._repr_html_()


@tooltips
def test_an_address_gives_links(nam, monkeypatch):
    address = "https://docs.example/{estimator_name}.html"
    monkeypatch.setattr(GrowingNAMClassifier, "_doc_link_template", address)
    html = nam._repr_html_()
    assert 'href="https://docs.example/GrowingNAMClassifier.html"' in html
    assert 'href="https://docs.example/GrowingNAMClassifier.html#:~:text=delta' in html
    assert tooltip(html, "delta")


def test_text(nam):
    assert repr(nam) == "GrowingNAMClassifier(max_iter=3, random_state=0)"
