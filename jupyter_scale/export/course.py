"""Several notebooks as a course: an index page, and links that bring them to who takes it.

Each notebook can be read as a page of its own (`thebe`), started on Binder, or pulled into a
JupyterHub by nbgitpuller, which merges a teacher's changes into a student's copy. A hub that is not
known when the page is written is asked for in the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from posixpath import dirname, relpath
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from jupyter_scale.export import thebe
from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.repository import HUB, launch, spec

__all__ = ["files", "index", "page_of", "pull"]

REDIRECT = "/hub/user-redirect/git-pull"
LONGEST = 300  # characters of what stands below a title
SCRIPT = """
document.getElementById('hub').addEventListener('input', event => {
  const hub = event.target.value.trim().replace(/\\/+$/, '');
  const good = /^https?:\\/\\/[^\\s@]+$/.test(hub);
  document.querySelectorAll('a[data-pull]').forEach(link => {
    link.hidden = !good;
    link.href = good ? hub + link.dataset.pull : '#';
  });
});
"""


def files(
    notebooks: Mapping[str, Mapping[str, Any]],
    *,
    heading: str,
    address: str = "",
    commit: str = "HEAD",
    branch: str = "main",
    hub: str = "",
    live: bool = False,
    binder: str = HUB,
) -> dict[str, bytes | Path]:
    """Return the index page, and with it a live page of each notebook.

    Parameters
    ----------
    notebooks : mapping
        Contents by their paths in the folder, in the order of the course.
    heading : str
        Of the index.
    address : str, optional
        Of the repository that the folder will be; without it there is nothing to start or pull.
    commit, branch : str, optional
        What Binder starts; what nbgitpuller follows.
    hub : str, optional
        Address of the JupyterHub that the course is taken on.
    live : bool, optional
        Write a page with live cells for each notebook.
    binder : str, optional
        The BinderHub.

    Raises
    ------
    ExportError
        When an address cannot be used, or the programs of a page are not here.
    """
    found: dict[str, bytes | Path] = {
        thebe.INDEX: index(
            notebooks, heading=heading, address=address, commit=commit, branch=branch, hub=hub,
            live=live, binder=binder,
        ).encode()
    }  # fmt: skip
    if live:
        for path, content in notebooks.items():
            text = thebe.page(content, binder=address, commit=commit, hub=binder, home=thebe.INDEX)
            found[page_of(path)] = _led_to_pages(text, path, notebooks).encode()
        found |= dict(thebe.programs())
    return found


def index(
    notebooks: Mapping[str, Mapping[str, Any]],
    *,
    heading: str,
    address: str = "",
    commit: str = "HEAD",
    branch: str = "main",
    hub: str = "",
    live: bool = False,
    binder: str = HUB,
) -> str:
    """Return the index page; the parameters are those of `files`."""
    entries = []
    for path, content in notebooks.items():
        links = [("Notebook", quote(path), "")]
        if live:
            links.insert(0, ("Read and run here", page_of(path), ""))
        if address:
            links.append(("Start on Binder", launch(address, commit, path, binder), ""))
            there = pull(address, path, branch=branch, hub=hub)
            words = "Pull into JupyterHub"
            links.append((words, there, "") if hub else (words, "#", there))
        items = " ".join(_link(*link) for link in links)
        about = _about(content)
        said = f"<p>{escape(about)}</p>" if about else ""
        title = escape(thebe.title(content))
        entries.append(f"<li><h2>{title}</h2>{said}<p>{items}</p></li>")
    asked = "" if hub or not address else _asked()
    listed = "\n".join(entries)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(heading)}</title>
<link rel="icon" href="data:,">
<style>{thebe.CSS}
li {{ margin-bottom: 1rem; }} h2 {{ font-size: 1.1rem; margin: 0; }} p {{ margin: .2rem 0; }}
li a {{ margin-right: 1rem; }} input {{ font: inherit; width: 22rem; max-width: 100%; }}
@media (prefers-color-scheme: dark) {{
  :root {{ color-scheme: dark; }} body {{ color: #e6e6e6; background: #15181c; }}
}}</style>
</head>
<body>
<main>
<h1>{escape(heading)}</h1>
{asked}<ol>
{listed}
</ol>
</main>
</body>
</html>
"""


def pull(address: str, path: str, *, branch: str = "main", hub: str = "") -> str:
    """Return the link by which nbgitpuller brings a notebook to a hub.

    Parameters
    ----------
    address : str
        Of the repository.
    path : str
        The notebook's in it.
    branch : str, optional
    hub : str, optional
        Without it, what comes after a hub's address.

    Raises
    ------
    ExportError
        When the repository cannot be cloned by this address.

    Examples
    --------
    >>> pull("https://github.com/ada/engine", "a b.ipynb", hub="https://hub.example.org/")
    ... # doctest: +NORMALIZE_WHITESPACE
    'https://hub.example.org/hub/user-redirect/git-pull?repo=https%3A%2F%2Fgithub.com%2Fada%2Fengine&branch=main&urlpath=lab%2Ftree%2Fengine%2Fa%20b.ipynb'
    """
    if spec(address).startswith("zenodo/"):
        raise ExportError(f"--course: {address} is no git repository, which nbgitpuller needs")
    parts = urlsplit(hub)
    if hub and (parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc):
        raise ExportError(f"{hub!r} is no JupyterHub: name it as https://hub.example.org")
    name = urlsplit(address).path.rstrip("/").rpartition("/")[2].removesuffix(".git")
    asked = {"repo": address, "branch": branch, "urlpath": f"lab/tree/{name}/{path}"}
    return f"{hub.rstrip('/')}{REDIRECT}?{urlencode(asked, quote_via=quote, safe='')}"


def page_of(path: str) -> str:
    """Return the page of a notebook: all lie beside the index, where their programs are.

    Examples
    --------
    >>> page_of("week 1/scores.ipynb")
    'week-1-scores.html'
    """
    return re.sub(r"[^\w.-]+", "-", path.removesuffix(".ipynb")) + ".html"


def _led_to_pages(text: str, path: str, notebooks: Iterable[str]) -> str:
    """Have what leads from a notebook's page to another notebook lead to that one's page."""
    for other in notebooks:
        there = quote(relpath(other, dirname(path) or "."))
        text = text.replace(f'<a href="{there}"', f'<a href="{page_of(other)}"')
    return text


def _link(words: str, address: str, pulled: str) -> str:
    hidden = f' hidden data-pull="{escape(pulled)}"' if pulled else ""
    return f'<a href="{escape(address)}"{hidden}>{escape(words)}</a>'


def _asked() -> str:
    return f"""<p><label>Your JupyterHub, to pull the notebooks into:
<input id="hub" type="url" placeholder="https://hub.example.org"></label></p>
<script>addEventListener('DOMContentLoaded', () => {{{SCRIPT}}});</script>
"""


def _about(content: Mapping[str, Any]) -> str:
    """Return the first paragraph that is no heading, without its marks."""
    for cell in content["cells"]:
        if cell["cell_type"] != "markdown":
            continue
        source = cell["source"]
        text = source if isinstance(source, str) else "".join(source)
        for paragraph in re.split(r"\n\s*\n", text):
            lines = [line for line in paragraph.splitlines() if not line.startswith("#")]
            said = re.sub(r"[*_`]|\[([^]]*)\]\([^)]*\)", r"\1", " ".join(lines)).strip()
            if said:
                return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"
    return ""
