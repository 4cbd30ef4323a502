"""Where Dask's own plots are, for the browser that shows the notebook."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_scale.view.dashboard import Dashboard, dashboard

LINK = "http://127.0.0.1:8787/status"


class Shown:
    def publish(self, bundle: dict[str, str]) -> None:
        self.bundle = bundle


@pytest.fixture
def shown() -> Shown:
    return Shown()


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JPY_PARENT_PID", "41")
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    return tmp_path


def shell(shown: Shown) -> Any:
    return SimpleNamespace(kernel=object(), display_pub=shown)


def test_it_is_framed_from_the_kernel_s_own_server(shown: Shown, runtime: Path) -> None:
    (runtime / "jpserver-41.json").write_text(json.dumps({"base_url": "/lab/ada/"}))
    dashboard(shell(shown), "local-3f2a", LINK, "tasks")
    address = "/lab/ada/proxy/8787/individual-task-stream"
    assert shown.bundle["text/plain"] == f"Dask's dashboard of local-3f2a: {address}"
    assert f'<iframe src="{address}"' in shown.bundle["text/html"]


def test_a_hub_says_where_it_is(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada")
    dashboard(shell(shown), "local-3f2a", LINK, "status")
    assert 'src="/user/ada/proxy/8787/status"' in shown.bundle["text/html"]


def test_without_a_server_it_is_a_link(shown: Shown) -> None:
    dashboard(shell(shown), "local-3f2a", LINK, "workers")
    assert "iframe" not in shown.bundle["text/html"]
    assert 'href="http://127.0.0.1:8787/workers"' in shown.bundle["text/html"]


def test_a_gateway_s_page_is_a_link_to_the_gateway(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    dashboard(shell(shown), "hub", "https://hub.example/clusters/1/status", "graph")
    address = "https://hub.example/clusters/1/individual-graph"
    assert f'href="{address}"' in shown.bundle["text/html"]


def test_names_are_escaped() -> None:
    text = Dashboard("<script>", '/"><script>', framed=True)._repr_html_()
    assert "<script>" not in text
