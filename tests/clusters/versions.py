"""This process as if other versions were installed in it."""

from __future__ import annotations

from typing import Any

import cloudpickle
import pytest

from jupyter_scale.clusters import parity

probes = parity._probes


def change(monkeypatch: pytest.MonkeyPatch, **versions: str) -> None:
    """Have the next check of a cluster find these versions here, and there what is installed."""
    digest, packages = probes()
    changed = {**packages(), **{key.replace("_", "-"): v for key, v in versions.items()}}
    calls = iter([changed])

    class Probe:
        """The workers and the scheduler answer as they are: only the first call is ours."""

        def __call__(self) -> dict[str, str]:
            return next(calls)

        def __reduce__(self) -> Any:
            return cloudpickle.loads, (cloudpickle.dumps(packages),)

    monkeypatch.setattr(parity, "_probes", lambda: (digest, Probe()))
