"""The memory of a notebook is that of all its processes."""

from __future__ import annotations

from pathlib import Path

import footprint
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

HOLD = """
import subprocess, sys
hold = "import sys, time; x = b'1' * 200_000_000; print(1, flush=True); sys.stdin.read()"
process = subprocess.Popen(
    [sys.executable, "-c", hold], stdin=-1, stdout=-1, start_new_session=True
)
process.stdout.readline()
import time; time.sleep(1)  # the measuring looks five times a second
process.communicate()
"""


@pytest.mark.long
def test_processes_in_other_sessions_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_setaffinity", lambda *_: None, raising=False)
    path = tmp_path / "holds.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(HOLD)]), path)
    assert footprint.main([str(path), "--most", "2000"]) == 0
    assert footprint.main([str(path), "--most", "100"]) == 1
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    peak = int(said[0].split()[1].replace(",", ""))
    assert 200 < peak < 1500
    (tmp_path / "fails.ipynb").write_text(
        nbformat.writes(new_notebook(cells=[new_code_cell("1 / 0")]))
    )
    assert footprint.main([str(tmp_path / "fails.ipynb")]) == 1
    assert capsys.readouterr().out.endswith(", failed\n")
