"""A JupyterLab of its own in a folder, and Debian's Chromium to look at it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import psutil
from processes import free_port, wait_for

CHROMIUM = shutil.which("chromium")
OPTIONS = [
    "--no-browser",
    "--allow-root",
    "--ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--LabApp.extension_manager=readonly",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.expose_app_in_browser=True",
    "--JupyterNotebookApp.expose_app_in_browser=True",
]
BASE = "/user/ada"
BROWSER = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# never the sign of an idle kernel, which is there before the kernel is
CONNECTED = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    return context?.isReady && context.session?.kernel?.connectionStatus === 'connected';
}"""
KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false"}}


@dataclass
class Lab:
    """A running JupyterLab and a browser page.

    Attributes
    ----------
    address, token : str
    folder : Path
        With its notebooks.
    browser : playwright.sync_api.Browser
    page : playwright.sync_api.Page
        What was opened last.
    """

    address: str
    token: str
    folder: Path
    browser: Any
    page: Any = None

    def write(self, name: str, *cells: str) -> None:
        """Write a notebook of code cells."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
            metadata={"kernelspec": KERNEL},  # or JupyterLab asks for one
        )
        nbformat.write(notebook, self.folder / name)

    def open(self, name: str) -> None:
        """Open a notebook in a new page, and wait until its kernel is there."""
        if self.page is not None:
            self.page.close()
        self.page = self.browser.new_page(viewport={"width": 1200, "height": 900})
        self.page.set_default_timeout(60_000)
        # reset: else what was open before would be, too
        self.page.goto(f"{self.address}/lab/tree/{name}?reset&token={self.token}")
        self.page.wait_for_function(CONNECTED, timeout=60_000)

    def command(self, name: str) -> None:
        """Do what a menu entry does, without waiting for its end."""
        self.page.evaluate(f"() => void window.jupyterapp.commands.execute('{name}')")

    def output(self, cell: int) -> Any:
        """Find what a code cell has put out."""
        return self.page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea")


@contextmanager
def start(folder: Path, chromium: str) -> Iterator[Lab]:
    """Start both; end them, and the kernels."""
    from playwright.sync_api import sync_playwright

    home, work = folder / "home", folder / "work"
    work.mkdir()
    (home / "lab").mkdir(parents=True)
    (home / "lab" / "overrides.json").write_text(json.dumps(SETTINGS))
    port, token = free_port(), secrets.token_hex(16)
    address = f"http://127.0.0.1:{port}{BASE}"  # as under JupyterHub
    with (folder / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyterlab", *OPTIONS),
                f"--port={port}",
                f"--ServerApp.base_url={BASE}/",
                f"--LabApp.app_settings_dir={home / 'lab'}",
            ],
            cwd=work,
            env={**environment(home), "JUPYTER_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: server.poll() is not None or answers(f"{address}/api?token={token}"), 60)
        assert server.poll() is None, (folder / "lab.log").read_text()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=BROWSER)
            yield Lab(address, token, work, browser)
            browser.close()
    finally:
        end(server)


def environment(home: Path) -> dict[str, str]:
    """Return an environment in which nothing of this user is read or written."""
    names = ("RUNTIME", "DATA", "CONFIG")
    folders = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in names}
    return {
        **os.environ,
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "DASK_CONFIG": str(home / "dask"),
        **folders,
    }


def answers(address: str) -> bool:
    """Whether a server is there."""
    with suppress(OSError), urllib.request.urlopen(address, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def end(server: subprocess.Popen[bytes]) -> None:
    """End a server and its kernels."""
    family = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(server.pid).children(recursive=True)
    server.terminate()
    try:
        with suppress(subprocess.TimeoutExpired):  # kernels are what it waits for
            server.wait(20)
    finally:
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.kill()
        server.wait()
