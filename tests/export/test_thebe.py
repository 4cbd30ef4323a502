"""The web page: as it is read, and alive in a real browser, on a Jupyter server and by Binder.

Binder's part is a stand-in of a few lines that says what BinderHub says while it launches; the
client is thebe's own.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import folders
import lab
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from processes import free_port, wait_for

from jupyter_scale.export import thebe
from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.thebe import files, page, programs, title

PHASES = ("waiting", "fetching", "building", "pushing", "built", "launching")
REPOSITORY, COMMIT = "https://github.com/ada/engine", "0123456789" * 4


def notebook() -> Any:
    slider = "import ipywidgets\nw = ipywidgets.IntSlider(value=3, description='size')\nw"
    return new_notebook(
        cells=[
            new_markdown_cell("# Engines\n\nwith $x^2$"),
            folders.cell("print(6 * 7, '<b>')", "saved <b>\n"),
            folders.cell(slider, folders.value("IntSlider(value=3)")),
            folders.cell("print(w.value)", run=False),
        ]
    )


# -- as it is read


def test_the_page_is_the_saved_notebook() -> None:
    text = page(notebook())
    assert "<title>Engines</title>" in text
    assert "saved &lt;b&gt;" in text
    assert "print(6 * 7, &#x27;&lt;b&gt;&#x27;)" in text
    assert text.count("<pre data-executable") == text.count("<div data-output") == 3


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        (new_output("display_data", data={"image/png": "QUJD\n"}), "data:image/png;base64,QUJD"),
        (new_output("display_data", data={"text/html": "<i>x</i>", "text/plain": "x"}), "<i>x</i>"),
        (new_output("display_data", data={"text/markdown": "*x*"}), "<em>x</em>"),
        (new_output("display_data", data={"text/plain": "<x>"}), "<pre>&lt;x&gt;</pre>"),
        (
            new_output("error", ename="E", evalue="v", traceback=["\x1b[31mE\x1b[0m: v"]),
            '<pre class="error">E: v</pre>',
        ),
    ],
)  # fmt: skip
def test_outputs_are_shown_without_a_script(output: Any, shown: str) -> None:
    assert shown in page(new_notebook(cells=[new_code_cell("f()", outputs=[output])]))


def test_nothing_is_loaded_from_elsewhere_and_no_token_is_held() -> None:
    text = page(notebook(), binder=REPOSITORY, commit=COMMIT)
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="([^"]+)"', text)
    assert loaded
    assert all(one.startswith(("thebe/", "data:")) for one in loaded), loaded
    assert "token=" not in text
    there = dict(programs())
    assert {one.partition("?")[0] for one in loaded if one.startswith("thebe/")} <= set(there)
    main = there[thebe.MAIN].read_text(encoding="utf-8")
    assert "cdnjs" not in main
    assert "jsdelivr" not in main


def test_no_address_ends_the_script() -> None:
    text = page(notebook(), binder="https://example.org/</script><script>alert(1)", commit="x")
    assert "</script><script>alert" not in text


def test_what_a_page_cannot_start_is_refused() -> None:
    with pytest.raises(ExportError, match="cannot start"):
        page(notebook(), binder="10.5281/zenodo.3242074")


@pytest.mark.parametrize(
    ("address", "provider", "repository"),
    [
        (REPOSITORY, "github", "ada/engine"),
        ("https://gitlab.com/a/b/c", "gitlab", "a/b/c"),
        ("https://git.example.org/x/y", "git", "https://git.example.org/x/y"),
    ],
)
def test_the_repository_as_thebe_names_it(address: str, provider: str, repository: str) -> None:
    text = page(notebook(), binder=address, commit=COMMIT)
    match = re.search(r'id="live-settings">(.*?)</script>', text)
    assert match
    found = json.loads(match[1])["options"]["binderOptions"]
    assert (found["repoProvider"], found["repo"], found["ref"]) == (provider, repository, COMMIT)


def test_mathjax_is_there_only_for_formulas() -> None:
    assert "MathJax.js" in page(notebook())
    plain = page(new_notebook(cells=[new_markdown_cell("costs 5$")]))
    assert '<script async src="thebe/mathjax' not in plain


def test_without_the_programs_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thebe, "PROGRAMS", tmp_path)
    with pytest.raises(ExportError, match=r"install jupyter-scale again"):
        files(notebook())


def test_a_notebook_without_a_heading_has_a_title() -> None:
    assert title(new_notebook(cells=[new_markdown_cell("text")])) == "Notebook"


# -- alive


@dataclass
class Site:
    """A page that is served, the Jupyter server for it, and a browser."""

    address: str
    server: str
    token: str
    hub: Hub
    browser: Any
    elsewhere: list[str] = field(default_factory=list)

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """Open the page; nothing but this machine answers."""
        view = self.browser.new_page()
        view.set_default_timeout(60_000)

        def routed(route: Any) -> None:
            if route.request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
                route.continue_()
            else:
                self.elsewhere.append(route.request.url)
                route.abort()

        view.route("**/*", routed)
        view.goto(f"{self.address}/index.html")
        try:
            yield view
        finally:
            view.close()


class Hub(ThreadingHTTPServer):
    """Says what BinderHub says to who asks it to build a repository."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Launch)
        self.ready: dict[str, str] = {}
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Launch(SimpleHTTPRequestHandler):
    """The stream of events of one launch."""

    server: Hub

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        events = [{"phase": phase, "message": f"{phase}\n"} for phase in PHASES]
        for event in [*events, {"phase": "ready", "message": "ready\n", **self.server.ready}]:
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Static(SimpleHTTPRequestHandler):
    """Serves the page."""

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if lab.CHROMIUM is None:
        pytest.skip("Chromium is not here: apt-get install --no-install-recommends chromium")
    home = tmp_path_factory.mktemp("site")
    static = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Static, directory=str(home / "page"))
    )  # fmt: skip
    hub = Hub()
    address = f"http://127.0.0.1:{static.server_port}"
    made = files(notebook(), binder=REPOSITORY, commit=COMMIT, hub=hub.address)
    for name, content in made.items():
        target = home / "page" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    with (
        served(static),
        served(hub),
        jupyter(home, address) as (server, token),
        playwright.sync_playwright() as driver,
    ):
        hub.ready = {"url": server, "token": token}
        browser = driver.chromium.launch(executable_path=lab.CHROMIUM, args=lab.BROWSER)
        yield Site(address, server, token, hub, browser)
        browser.close()


@contextmanager
def jupyter(home: Path, origin: str) -> Iterator[tuple[str, str]]:
    port, token = free_port(), secrets.token_hex(16)
    (home / "work").mkdir()
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
                *("--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"),
                *(f"--ServerApp.allow_origin={origin}", "--ServerApp.disable_check_xsrf=True"),
            ],
            cwd=home / "work",
            env={**os.environ, **lab.environment(home / "home"), "JUPYTER_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    address = f"http://127.0.0.1:{port}/"
    try:
        wait_for(
            lambda: server.poll() is not None or lab.answers(f"{address}api?token={token}"), 60
        )
        assert server.poll() is None, (home / "server.log").read_text()
        yield address, token
    finally:
        lab.end(server)


def runs_a_cell(view: Any) -> None:
    view.wait_for_function("document.body.dataset.live === 'connected'")
    cell = view.locator(".cell").nth(1)
    cell.locator(".thebe-run-button").click()
    view.get_by_text("42 <b>").wait_for()


def test_cells_run_on_a_server_of_the_readers_own(site: Site) -> None:
    with site.opened() as view:
        assert view.get_by_text("saved <b>").is_visible()
        view.locator(".MathJax_CHTML, .MJXc-display, .mjx-chtml").first.wait_for()
        view.locator("summary").click()
        view.get_by_label("Address").fill(site.server)
        view.get_by_label("Token").fill(site.token)
        view.get_by_role("button", name="Connect").click()
        runs_a_cell(view)
        view.locator(".cell").nth(2).locator(".thebe-run-button").click()
        slider = view.locator(".widget-slider [role=slider], .widget-slider .noUi-handle").first
        slider.wait_for()
        slider.focus()
        slider.press("ArrowRight")
        view.get_by_text("4", exact=True).wait_for()
        view.locator(".cell").nth(3).locator(".thebe-run-button").click()
        view.locator(".cell").nth(3).get_by_text("4", exact=True).last.wait_for()
    assert site.elsewhere == []


def test_cells_run_on_what_binder_starts(site: Site) -> None:
    with site.opened() as view:
        view.get_by_role("button", name="Run the cells on Binder").click()
        runs_a_cell(view)
    assert site.hub.asked[0].partition("?")[0] == f"/build/gh/ada/engine/{COMMIT}"
    assert site.elsewhere == []


def test_a_server_that_is_not_there_is_said(site: Site) -> None:
    with site.opened() as view:
        view.locator("summary").click()
        view.get_by_label("Address").fill(f"http://127.0.0.1:{free_port()}/")
        view.get_by_role("button", name="Connect").click()
        view.locator("#live-status").get_by_text(re.compile("fail|not|error", re.I)).wait_for()
        assert view.get_by_role("button", name="Connect").is_enabled()
