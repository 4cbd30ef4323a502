"""Pages of exported folders, opened in a real browser: what of them runs, and what they ask for.

The environment is this one: that it can be built anew is the affair of other tests.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import folders
import nbformat
import psutil
import pytest
from processes import wait_for

from jupyter_scale.export import browser, course, thebe, visit
from jupyter_scale.export.claim import PAGE
from jupyter_scale.export.options import Options
from jupyter_scale.export.step import Refused
from jupyter_scale.export.verify import _paged, verify
from jupyter_scale.export.visit import Visit, visits

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
CDN = "https://cdn.example.org/x.js"
PICTURE = "<img src='https://pictures.example.org/a.png?b=1&amp;c=2' alt='a'>"


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    if lacking := visit.lacking():
        pytest.skip(lacking)
    yield
    assert [words for words in commands() if str(tmp_path) in words] == []


def commands() -> Iterator[str]:
    for process in psutil.process_iter():
        try:
            yield " ".join([*process.cmdline(), process.environ().get("HOME", "")])
        except psutil.Error:
            continue


def write(folder: Path, notebooks: dict[str, list[Any]], **changed: tuple[str, str]) -> Path:
    """Write a folder with its pages; of one, a text may be another."""
    for name, cells in notebooks.items():
        folders.write(folder, *cells, name=f"{name}.ipynb", python=HERE, files={"x.txt": "7"})
    read = {f"{name}.ipynb": contents(folder, name) for name in notebooks}
    if len(read) > 1:
        made = course.files(read, heading="A course", live=True)
    else:
        made = thebe.files(*read.values())
    for path, content in made.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    for name, (old, new) in changed.items():
        path = folder / f"{name}.html"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
    return folder


def contents(folder: Path, name: str) -> Any:
    return nbformat.read(folder / f"{name}.ipynb", as_version=4)


def visited(folder: Path, *names: str, timeout: float = 60) -> dict[str, Visit]:
    """Visit the index and the pages of notebooks."""
    pages = {f"{name}.html": contents(folder, name) for name in names}
    if len(names) == 1:
        pages = {"index.html": contents(folder, *names)}
    else:
        pages = {"index.html": None, **pages}
    python, scratch = Path(sys.executable), folder.parent / "scratch"
    found = visits(folder, pages, python, scratch, timeout=timeout)
    return dict(zip(["index", *names] if len(names) > 1 else names, found, strict=True))


def test_the_pages_of_a_course_one_by_one(tmp_path: Path) -> None:
    shown = folders.value("'a'", **{"text/html": PICTURE})
    folder = write(
        tmp_path / "out",
        {
            "good": [
                folders.cell("raise SystemExit", tags=("skip-execution",)),
                folders.cell("x = open('x.txt').read()"),
                folders.cell("int(x) / 4", folders.value("1.75000000001")),
                folders.cell("1 / 0", "never run\n"),
            ],
            "asking": [folders.cell("print(6 * 8)", shown)],
        },
        asking=("</head>", f'<script src="{CDN}"></script></head>'),
    )
    before = sorted(folder.rglob("*"))
    found = visited(folder, "good", "asking")
    assert found["index"] == Visit("verified", ())
    assert found["good"] == Visit(
        "verified",
        (
            "good.html: 2 cells ran in a browser, by the page's own buttons",
            "good.html: cell 3 (int(x) / 4) shows the output that was saved",
        ),
    )
    assert found["asking"].status == "failed"
    first, *_, last = found["asking"].lines
    assert first == f"asking.html: it loads {CDN}, which is not beside it"
    picture = "https://pictures.example.org/a.png?b=1&c=2"
    assert last == f"asking.html: an output asks for {picture}"
    assert "which is not the saved one" in str(found["asking"].lines)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.long
def test_what_an_output_may_be(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "out",
        {
            "other": [folders.cell("print(6 * 8)", "42\n")],
            "silent": [folders.cell("None", "42\n")],
            "raising": [folders.cell("x = 1"), folders.cell("x / 0")],
            "dying": [folders.cell("import os; os._exit(3)")],
            "showing": [folders.cell("'a'", folders.value("'a'", **{"text/html": PICTURE}))],
        },
    )
    found = visited(folder, "other", "silent", "raising", "dying", "showing")
    assert found["other"].status == "verified"
    assert found["other"].lines[-1] == "other.html: cell 1 (print(6 * 8)), stdout: was 42, is 48"
    assert found["silent"].status == "failed"
    assert "shows no output, and was saved with one" in found["silent"].lines[0]
    assert found["raising"] == Visit(
        "failed", ("raising.html: cell 2 (x / 0) raised ZeroDivisionError: division by zero",)
    )
    assert found["dying"].status == "failed"
    assert "the kernel died" in found["dying"].lines[0]
    assert found["showing"].status == "verified"
    assert "an output asks for https://pictures" in found["showing"].lines[-1]


@pytest.mark.long
def test_a_page_without_its_programs_says_which(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", {"a": [folders.cell("1", folders.value("1"))]})
    (folder / thebe.MAIN).unlink()
    found = visited(folder, "a")["a"]
    assert found.status == "failed"
    assert found.lines == (
        f"index.html: it does not connect to a Jupyter server: It failed: {thebe.MAIN} is not "
        "beside this page",
    )


@pytest.mark.long
def test_an_interrupt_ends_all_of_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", {"a": [folders.cell("import time; time.sleep(600)")]})

    def press() -> None:
        wait_for(lambda: said[-1].startswith("index.html: running"), 120)
        os.kill(os.getpid(), signal.SIGINT)

    said = [""]
    thread = threading.Thread(target=press)
    thread.start()
    pages = {"index.html": contents(folder, "a")}
    with pytest.raises(KeyboardInterrupt):
        visits(folder, pages, Path(sys.executable), tmp_path / "scratch", show=said.append)
    thread.join()


class Asked(SimpleHTTPRequestHandler):
    """Answers with a page that asks another host, and keeps what it is asked."""

    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        port = self.server.server_address[1]
        self.wfile.write(f"<img src='http://127.0.0.2:{port}/picture'>".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def test_no_other_host_is_reached_and_what_is_asked_of_one_is_seen() -> None:
    server = ThreadingHTTPServer(("0.0.0.0", 0), Asked)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_port

    async def look() -> list[str]:
        async with browser.opened(str(browser.find()), dict(os.environ)) as tab, tab() as view:
            await view.open(f"http://127.0.0.1:{port}/page")
            while not await view.evaluate("document.readyState === 'complete'"):
                await asyncio.sleep(0.05)
            return list(view.asked)

    try:
        asked = asyncio.run(look())
    finally:
        server.shutdown()
        server.server_close()
    assert f"http://127.0.0.2:{port}/picture" in asked
    assert Asked.paths[0] == "/page"
    assert "/picture" not in Asked.paths


@pytest.mark.long
def test_a_cell_that_takes_too_long(tmp_path: Path) -> None:
    folder = write(tmp_path / "out", {"a": [folders.cell("import time; time.sleep(600)")]})
    found = visited(folder, "a", timeout=1)["a"]
    assert found == Visit(
        "failed", ("index.html: it was running import time; time.sleep(600) for 1 s",)
    )


def test_a_program_that_is_no_browser_is_told() -> None:
    async def start() -> None:
        async with browser.opened("/bin/true", dict(os.environ)):
            pass

    with pytest.raises(Refused, match="The browser has ended") as caught:
        asyncio.run(start())
    assert caught.value.status == "not verified"


def test_without_a_browser_the_remedy_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "out", {"a": [folders.cell("1")]})
    monkeypatch.setenv("PATH", str(tmp_path))
    claim = _paged(
        folder, ["a.ipynb"], Path(sys.executable), tmp_path / "scratch", Options(), print
    )  # fmt: skip
    assert claim.status == "not verified"
    assert "no browser is here to open it with: install Chromium" in claim.details[0]
    monkeypatch.setattr(browser, "find", lambda: "chromium")
    monkeypatch.setattr(visit, "find_spec", lambda name: None)
    claim = _paged(
        folder, ["a.ipynb"], Path(sys.executable), tmp_path / "scratch", Options(), print
    )  # fmt: skip
    assert claim.details[0].endswith("pip install jupyter-server")


@pytest.mark.long
def test_a_folder_whose_page_runs_in_its_own_environment(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "out", {"a": [folders.cell("import six; print(six.__version__)", "1.17.0\n")]}
    )
    claims = verify(folder)
    (page,) = (claim for claim in claims if claim.name == PAGE)
    assert page.status == "verified", claims
    assert page.details[-1].endswith("shows the output that was saved")
