"""A real shell for what needs no kernel, and a real kernel for what does."""

from __future__ import annotations

import builtins
import os
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client import BlockingKernelClient, KernelManager
from processes import close_clusters
from traitlets.config import Config

TIMEOUT = 60
LONG = (
    *("test_scikit_learn.py", "test_conformance.py", "test_lost.py", "test_axes.py"),
    *("test_magics.py", "test_parts.py"),
)
"""Files that take minutes: they begin first, so that the other process is not waited for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session", autouse=True)
def runtime_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test finds the clusters of the person who runs it, and none is left behind."""
    home = str(tmp_path_factory.mktemp("runtime"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", home)
        try:
            yield
        finally:
            close_clusters(home)


@pytest.fixture(scope="module", autouse=True)
def record_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No module's kernels know the cells of another one, or of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True)
def record_of_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test knows the cells of another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InteractiveShell]:
    """A shell of its own with jupyter_scale loaded, and no trace in the home directory."""
    from jupyter_scale.magics import load_ipython_extension, unload_ipython_extension

    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    # a doctest leaves the last value there, and IPython then keeps its hands off that name
    monkeypatch.delattr(builtins, "_", raising=False)
    InteractiveShell.clear_instance()
    # IPython takes the place of `__main__`, which worker processes would look for.
    shell: Any = InteractiveShell.instance(
        config=Config(HistoryManager={"enabled": False}, InteractiveShell={"colors": "nocolor"}),
        user_module=types.ModuleType("notebook"),
    )
    load_ipython_extension(shell)
    try:
        yield shell
    finally:
        unload_ipython_extension(shell)
        InteractiveShell.clear_instance()


@dataclass
class Ran:
    """What came back from one cell."""

    status: str
    reply: dict[str, Any]
    messages: list[dict[str, Any]] = field(default_factory=list)

    def text(self, stream: str = "stdout") -> str:
        return "".join(
            m["content"]["text"]
            for m in self.messages
            if m["msg_type"] == "stream" and m["content"]["name"] == stream
        )

    def contents(self, kind: str) -> list[dict[str, Any]]:
        return [m["content"] for m in self.messages if m["msg_type"] == kind]

    @property
    def value(self) -> str | None:
        """Text of the displayed last expression."""
        results = self.contents("execute_result")
        return results[0]["data"]["text/plain"] if results else None


class Kernel:
    """A running kernel: run cells in it, interrupt it, kill it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(
        self, code: str, *, on_message: Callable[[dict[str, Any]], None] | None = None, **more: Any
    ) -> Ran:
        messages: list[dict[str, Any]] = []

        def hook(message: dict[str, Any]) -> None:
            messages.append(message)
            if on_message is not None:
                on_message(message)

        reply = self.client.execute_interactive(
            code, timeout=TIMEOUT, allow_stdin=False, output_hook=hook, **more
        )
        return Ran(reply["content"]["status"], reply["content"], messages)

    def complete(self, code: str) -> list[str]:
        reply = self.client.complete(code, len(code), reply=True, timeout=TIMEOUT)
        return list(reply["content"]["matches"])

    def pid(self) -> int:
        return int(self.run("import os; os.getpid()").value or 0)


@pytest.fixture(scope="module")
def new_kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Kernel]]:
    """Start kernels that are ended with the module, whatever a test did to them."""
    kernels: list[Kernel] = []
    homes: list[str] = []

    def start() -> Kernel:
        home = str(tmp_path_factory.mktemp("home"))
        homes.append(home)
        manager = KernelManager()
        folders = dict.fromkeys(("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"), home)
        # the tests of a module share kernels, and run the same search again and again
        off = {"DASK_JUPYTER_SCALE__RECORD": "False"}
        manager.start_kernel(env={**os.environ, **folders, **off})
        client = manager.client()
        client.start_channels()
        kernels.append(Kernel(manager, client))
        client.wait_for_ready(timeout=TIMEOUT)
        assert kernels[-1].run("%load_ext jupyter_scale").status == "ok"
        return kernels[-1]

    try:
        yield start
    finally:
        for kernel in kernels:
            kernel.client.stop_channels()
            kernel.manager.shutdown_kernel(now=not kernel.manager.is_alive())
        for home in homes:
            close_clusters(home)


@pytest.fixture(scope="module")
def kernel(new_kernel: Callable[[], Kernel]) -> Kernel:
    """One kernel for all tests of a module."""
    return new_kernel()
