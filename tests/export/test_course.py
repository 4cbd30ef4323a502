"""A course: its index, its links, and the pages of its notebooks."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlsplit

import folders
import pytest
from nbformat.v4 import new_markdown_cell, new_notebook

from jupyter_scale.export.course import files, index, page_of, pull
from jupyter_scale.export.finding import ExportError

REPOSITORY, COMMIT = "https://github.com/ada/engine.git", "0123456789" * 4
NOTEBOOKS = {
    "01-first.ipynb": new_notebook(
        cells=[new_markdown_cell("# One <1>\n\nAbout [it](x), *all*."), folders.cell("1")]
    ),
    "week 2/more.ipynb": new_notebook(
        cells=[
            new_markdown_cell("# Two\n\nAfter [the first](../01-first.ipynb) of [some](x.ipynb).")
        ]
    ),
}


class Links(HTMLParser):
    """The links of a page, by their order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found.append(dict(attrs))


def links(**options: Any) -> list[dict[str, str | None]]:
    return Links(index(NOTEBOOKS, heading="A course", **options)).found


def test_titles_and_first_words_are_told() -> None:
    text = index(NOTEBOOKS, heading="Tom & Ada")
    assert "<h1>Tom &amp; Ada</h1>" in text
    assert "<h2>One &lt;1&gt;</h2><p>About it, all.</p>" in text
    assert [link["href"] for link in links()] == ["01-first.ipynb", "week%202/more.ipynb"]


def test_links_to_binder_and_to_a_hub() -> None:
    hub = "https://hub.example.org"
    _, binder, pulled = links(address=REPOSITORY, commit=COMMIT, hub=hub)[3:]
    assert str(binder["href"]).startswith(f"https://mybinder.org/v2/gh/ada/engine/{COMMIT}?")
    parts = urlsplit(str(pulled["href"]))
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{hub}/hub/user-redirect/git-pull"
    assert parse_qs(parts.query) == {
        "repo": [REPOSITORY],
        "branch": ["main"],
        "urlpath": ["lab/tree/engine/week 2/more.ipynb"],
    }


def test_a_hub_that_is_not_known_is_asked_for() -> None:
    text = index(NOTEBOOKS, heading="A course", address=REPOSITORY)
    assert '<input id="hub"' in text
    pulled = Links(text).found[2]
    assert "hidden" in pulled
    assert str(pulled["data-pull"]).startswith("/hub/user-redirect/git-pull?repo=")


def test_live_pages_lie_beside_their_programs() -> None:
    made = files(NOTEBOOKS, heading="A course", address=REPOSITORY, commit=COMMIT, live=True)
    assert {"index.html", "01-first.html", "week-2-more.html"} <= set(made)
    assert "thebe/thebe/lib/index.js" in made
    page = made["week-2-more.html"]
    assert isinstance(page, bytes)
    assert '<a href="index.html">All notebooks</a>' in page.decode()
    leads = [link["href"] for link in Links(page.decode()).found]
    assert "01-first.html" in leads, "not to the file, which a browser would only load down"
    assert "x.ipynb" in leads
    assert page_of("01-first.ipynb") in [link["href"] for link in links(live=True)]


@pytest.mark.parametrize("hub", ["hub.example.org", "https://me:secret@hub.example.org", "ftp://x"])
def test_what_is_no_hub_is_refused(hub: str) -> None:
    with pytest.raises(ExportError, match="is no JupyterHub"):
        pull(REPOSITORY, "a.ipynb", hub=hub)


def test_what_git_cannot_clone_is_refused() -> None:
    with pytest.raises(ExportError, match="no git repository"):
        pull("10.5281/zenodo.3242074", "a.ipynb")
