"""A web page of a notebook, whose cells run when a reader asks for it.

Without a script the page reads as the saved notebook does: text, code, outputs. With one press its
cells come alive by thebe, on a machine that Binder starts from the published repository, or on a
Jupyter server of the reader's own, whose token the reader types and no file holds. All programs lie
beside the page (`jupyter_scale/export/page`, made by `labextension/build.py`): none is loaded from
elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jupyter_scale.export.finding import ExportError, needed
from jupyter_scale.export.repository import HUB, spec
from jupyter_scale.export.tokens import ESCAPES

__all__ = ["FOLDER", "PROGRAMS", "files", "page", "programs", "title"]

PROGRAMS = Path(__file__).parent / "page"
FOLDER = "thebe"
INDEX = "index.html"
MAIN, STYLE = f"{FOLDER}/thebe/lib/index.js", f"{FOLDER}/thebe/lib/thebe.css"
MATHJAX = {
    "mathjaxUrl": f"{FOLDER}/mathjax/MathJax.js",
    "mathjaxConfig": "TeX-AMS_CHTML-full,Safe",
}
PROVIDERS = {"gh": "github", "gl": "gitlab", "git": "git", "gist": "gist"}
"""thebe's names of what BinderHub calls so."""
MATH = re.compile(r"\$[^$\n]+\$|\$\$.+?\$\$|\\begin\{|\\\(|\\\[", re.S)
SHOWN = ("text/html", "image/svg+xml", "image/png", "image/jpeg", "text/markdown", "text/latex")

CSS = """
body { margin: 0 auto; max-width: 56rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: #1a1a1a; background: #fff; }
pre { overflow-x: auto; margin: 0; font: .875rem/1.4 ui-monospace, monospace; }
pre[data-executable] { padding: .6rem .8rem; background: #f3f4f6; border-left: 3px solid #9aa3af; }
.cell { margin: 1rem 0; }
[data-output] { padding: .3rem .8rem; overflow-x: auto; }
[data-output] .error { color: #9b1c1c; }
table { border-collapse: collapse; }
td, th { padding: .15rem .6rem; border-bottom: 1px solid #d7dbe0; text-align: right; }
img { max-width: 100%; }
.anchor-link { opacity: 0; padding-left: .3rem; text-decoration: none; }
:hover > .anchor-link, .anchor-link:focus { opacity: 1; }
.live { padding: .6rem .8rem; border: 1px solid #9aa3af; border-radius: 4px; }
.live button, .live input { font: inherit; margin: .15rem .3rem .15rem 0; }
.live label { display: inline-block; margin-right: .6rem; }
"""
SCRIPT = """
(function () {
  'use strict';
  const settings = JSON.parse(document.getElementById('live-settings').textContent);
  const status = document.getElementById('live-status');
  function say(text) { status.textContent = text; }
  function load() {
    return new Promise((resolve, reject) => {
      if (window.thebe && window.thebe.bootstrap) { resolve(); return; }
      const program = document.createElement('script');
      program.src = settings.main;
      program.onload = resolve;
      program.onerror = () => reject(new Error(settings.main + ' is not beside this page'));
      document.head.appendChild(program);
    });
  }
  async function start(options) {
    document.querySelectorAll('.live button').forEach(one => { one.disabled = true; });
    say('Loading');
    try {
      await load();
      window.thebe.on('status', (event, data) => {
        if (data && data.status) { say(data.message || data.status); }
      });
      window.thebe.on('error', (event, data) => { say(data.message || 'It failed'); });
      const found = await window.thebe.bootstrap({ ...settings.options, ...options });
      if (!found.session) { throw new Error('no kernel was started'); }
      await found.session.kernel.info;
      say('Connected: each cell has a button to run it');
      document.body.dataset.live = 'connected';
    } catch (error) {
      say('It failed: ' + (error && error.message || error));
      document.querySelectorAll('.live button').forEach(one => { one.disabled = false; });
    }
  }
  const binder = document.getElementById('live-binder');
  if (binder) { binder.addEventListener('click', () => start({ useBinder: true })); }
  document.getElementById('live-server').addEventListener('submit', event => {
    event.preventDefault();
    const form = event.target;
    const baseUrl = form.elements.address.value.replace(/\\/*$/, '/');
    const token = form.elements.token.value;
    form.elements.token.value = '';
    start({ useBinder: false, serverSettings: { baseUrl, token, appendToken: true } });
  });
})();
"""


def files(
    notebook: Mapping[str, Any], *, binder: str = "", commit: str = "HEAD", hub: str = HUB
) -> dict[str, bytes | Path]:
    """Return the page and its programs by their paths in the folder.

    Parameters
    ----------
    notebook, binder, commit, hub
        As for `page`.

    Raises
    ------
    ExportError
        When the programs were not built, or BinderHub cannot read the address.
    """
    text = page(notebook, binder=binder, commit=commit, hub=hub)
    return {INDEX: text.encode(), **dict(programs())}


def programs() -> Iterator[tuple[str, Path]]:
    """Return what goes beside a page: each path and the file to be copied.

    Raises
    ------
    ExportError
        When they were not built.
    """
    if not (PROGRAMS / "thebe").is_dir():
        raise ExportError(
            "The programs of the web page are not here: install jupyter-scale again, which builds "
            "them with Node.js."
        )
    for path in sorted(PROGRAMS.rglob("*")):
        if path.is_file():
            yield f"{FOLDER}/{path.relative_to(PROGRAMS).as_posix()}", path


def page(
    notebook: Mapping[str, Any],
    *,
    binder: str = "",
    commit: str = "HEAD",
    hub: str = HUB,
    home: str = "",
) -> str:
    """Return a notebook as a web page with live cells.

    Parameters
    ----------
    notebook : mapping
        Its content, as in the file.
    binder : str, optional
        Address of the repository that Binder starts; without it only a server of the reader's own
        can run the cells.
    commit : str, optional
        Of it.
    hub : str, optional
        The BinderHub.
    home : str, optional
        Where a link back leads: the index of a course.

    Raises
    ------
    ExportError
        When BinderHub cannot read the address.
    """
    name = title(notebook)
    body = "\n".join(_cell(cell) for cell in notebook["cells"])
    settings = {"main": MAIN, "options": _options(binder, commit, hub)}
    math = _math() if MATH.search(_prose(notebook)) else ""
    back = f'<p><a href="{escape(home)}">All notebooks</a></p>' if home else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{escape(name)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{STYLE}">
<style>{CSS}</style>
{math}</head>
<body>
{back}<section class="live" aria-label="Run the cells of this page">
{_buttons(binder)}
<p id="live-status" role="status">The outputs are those that were saved.</p>
</section>
<main>
{body}
</main>
<script type="application/json" id="live-settings">{_json(settings)}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def title(notebook: Mapping[str, Any]) -> str:
    """Return a notebook's first heading, or a word.

    Examples
    --------
    >>> title({"cells": [{"cell_type": "markdown", "source": ["text", "# Scores *now*"]}]})
    'Notebook'
    >>> title({"cells": [{"cell_type": "markdown", "source": "# Scores *now*"}]})
    'Scores now'
    """
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            match = re.search(r"^#{1,6}\s+(.+?)\s*#*$", _text(cell["source"]), re.M)
            if match:
                return re.sub(r"[*_`]", "", match[1])
    return "Notebook"


def _options(binder: str, commit: str, hub: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "requestKernel": True,
        "mountStatusWidget": False,
        "mountActivateWidget": False,
        "useBinder": False,
        "kernelOptions": {"kernelName": "python3", "path": "/"},
        "savedSessionOptions": {"enabled": False},
        **MATHJAX,
    }
    if binder:
        kind, _, repository = spec(binder).partition("/")
        if kind not in PROVIDERS:
            raise ExportError(f"--thebe: a page cannot start {binder}; a badge in README.md can.")
        found["binderOptions"] = {
            "repo": unquote(repository),
            "ref": commit,
            "binderUrl": hub,
            "repoProvider": PROVIDERS[kind],
        }
    return found


def _buttons(binder: str) -> str:
    start = ""
    if binder:
        start = (
            '<button type="button" id="live-binder">Run the cells on Binder</button> '
            "It starts a machine, which takes a minute or more.\n"
        )
    return f"""{start}<details><summary>Run them on a Jupyter server of your own</summary>
<form id="live-server" autocomplete="off">
<label>Address <input name="address" type="url" required value="http://127.0.0.1:8888/"></label>
<label>Token <input name="token" type="password"></label>
<button type="submit">Connect</button>
</form>
<p>Start it so that this page may use it: <code>jupyter lab --ServerApp.allow_origin=ADDRESS</code>
with the address that this page is read at, such as <code>http://127.0.0.1:8000</code>.</p>
</details>"""


def _cell(cell: Mapping[str, Any]) -> str:
    source = _text(cell["source"])
    if cell["cell_type"] == "markdown":
        return f'<div class="cell">{_markdown(source)}</div>'
    if cell["cell_type"] != "code" or not source.strip():
        return ""
    outputs = "\n".join(_output(output) for output in cell.get("outputs", []))
    return (
        f'<div class="cell"><pre data-executable="true" data-language="python">'
        f'{escape(source)}</pre>\n<div data-output="true">{outputs}</div></div>'
    )


def _output(output: Mapping[str, Any]) -> str:
    kind = output["output_type"]
    if kind == "stream":
        return f"<pre>{_plain(_text(output['text']))}</pre>"
    if kind == "error":
        traceback = (
            "\n".join(output.get("traceback", [])) or f"{output['ename']}: {output['evalue']}"
        )
        return f'<pre class="error">{_plain(traceback)}</pre>'
    data: Mapping[str, Any] = output.get("data", {})
    for one in SHOWN:
        if one in data:
            return _shown(one, _text(data[one]), _text(data.get("text/plain", "")))
    return f"<pre>{_plain(_text(data.get('text/plain', '')))}</pre>"


def _shown(kind: str, text: str, plain: str) -> str:
    if kind.startswith("image/") and kind != "image/svg+xml":
        encoded = escape("".join(text.split()))
        return f'<img src="data:{kind};base64,{encoded}" alt="{escape(plain.strip())}">'
    if kind == "text/markdown":
        return _markdown(text)
    return f"<div>{escape(text) if kind == 'text/latex' else text}</div>"


def _markdown(source: str) -> str:
    convert = needed("nbconvert.filters.markdown_mistune").markdown2html_mistune
    return str(convert(source))


def _math() -> str:
    settings = {"tex2jax": {"inlineMath": [["$", "$"], ["\\(", "\\)"]], "processEscapes": True}}
    address = f"{MATHJAX['mathjaxUrl']}?config={MATHJAX['mathjaxConfig']}"
    return (
        f'<script type="text/x-mathjax-config">MathJax.Hub.Config({_json(settings)});</script>\n'
        f'<script async src="{address}"></script>\n'
    )


def _prose(notebook: Mapping[str, Any]) -> str:
    found = [_text(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            found.append(_text(output.get("data", {}).get("text/latex", "")))
    return "\n".join(found)


def _plain(text: str) -> str:
    return escape(ESCAPES.sub("", text))


def _text(text: Any) -> str:
    return text if isinstance(text, str) else "".join(text)


def _json(value: Any) -> str:
    """Return JSON that ends no script."""
    return json.dumps(value).replace("<", "\\u003c")
