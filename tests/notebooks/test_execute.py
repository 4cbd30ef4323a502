"""The notebook runner: what it prints, what it writes, and what it never leaves behind."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import execute
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook


def notebook_at(path: Path, *cells: str, parameters: str = "") -> Path:
    tagged = [new_code_cell(parameters, metadata={"tags": ["parameters"]})] if parameters else []
    nb = new_notebook(
        cells=[new_markdown_cell("Text.\n# A title\nMore."), *tagged, *map(new_code_cell, cells)]
    )
    nbformat.write(nb, path)
    return path


def test_runs_a_notebook_and_reports(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = notebook_at(
        tmp_path / "nb.ipynb",
        "print(N * WORD)",
        "import sys; sys.executable",
        f"display({{'{execute.SUMMARY}': {{'best': '0.9'}}, 'text/plain': 'x'}}, raw=True)",
        parameters="N = 1\nWORD = 'no'",
    )
    before = source.read_bytes()
    target = tmp_path / "build" / "nb.ipynb"

    arguments = ["--output", str(target), "--set", "N=2", "--set", "WORD=yes"]
    assert execute.main([str(source), *arguments]) == 0

    executed = nbformat.read(target, as_version=4)
    assert executed.cells[1].source == "N = 1\nWORD = 'no'\nN = 2\nWORD = 'yes'"
    assert executed.cells[2].outputs[0].text == "yesyes\n"
    assert executed.cells[3].outputs[0].data["text/plain"] == repr(sys.executable)
    assert source.read_bytes() == before
    assert os.listdir(target.parent) == ["nb.ipynb"]
    out = capsys.readouterr().out
    assert re.search(r"^\[2/4\] print\(N \* WORD\)  [\d.]+ s  yesyes$", out, re.M)
    assert re.search(r"^best      0\.9$", out, re.M)
    assert re.search(rf"^notebook  {re.escape(str(target))}$", out, re.M)


def test_a_failing_cell_is_quoted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = notebook_at(tmp_path / "nb.ipynb", "fine = 1", "missing + fine", "print('never')")
    target = tmp_path / "build" / "nb.ipynb"

    assert execute.main([str(source), "--output", str(target)]) == 1

    captured = capsys.readouterr()
    assert "nb.ipynb failed in this cell" in captured.err
    assert "\nmissing + fine\n" in captured.err
    assert "NameError: name 'missing' is not defined" in captured.err
    assert "\x1b" not in captured.err
    assert "never" not in captured.out
    assert not target.parent.exists()


def test_a_cell_that_takes_too_long_is_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    source = notebook_at(tmp_path / "nb.ipynb", "import threading; threading.Event().wait()")
    assert execute.main([str(source), "--output", str(tmp_path / "x"), "--timeout", "1"]) == 1
    assert "threading.Event().wait()" in capsys.readouterr().err


def test_an_interrupt_reaches_the_cell(tmp_path: Path):
    # The cell says when it runs, and afterwards that it could put things away.
    running, ended = tmp_path / "running", tmp_path / "ended"
    os.mkfifo(running)
    source = notebook_at(
        tmp_path / "nb.ipynb",
        "import threading\n"
        "try:\n"
        f"    open({str(running)!r}, 'w').close()\n"
        "    threading.Event().wait()\n"
        "finally:\n"
        f"    open({str(ended)!r}, 'w').close()",
    )
    target = tmp_path / "build" / "nb.ipynb"
    command = [sys.executable, execute.__file__, str(source), "--output", str(target)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        running.read_bytes()  # blocks until the cell has opened it
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "nb.ipynb: interrupted\n"
    assert ended.exists()
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "M=3"], "no parameter M: the notebook has N"),
        (["--set", "N=3", "--set", "O=4"], "no parameter O: the notebook has N"),
    ],
)
def test_an_unknown_parameter_runs_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
):
    source = notebook_at(tmp_path / "nb.ipynb", "print(N)", parameters="N = 1")
    assert execute.main([str(source), *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"nb.ipynb: {message}\n"
    assert captured.out == ""


def test_a_missing_notebook_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert execute.main([str(tmp_path / "none.ipynb")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_write_that_fails_leaves_the_last_good_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    target = tmp_path / "nb.ipynb"
    target.write_text("the last good one")

    def half(notebook: object, file: io.TextIOBase) -> None:
        file.write("{")
        raise OSError("No space left on device")

    monkeypatch.setattr(nbformat, "write", half)
    with pytest.raises(OSError, match="No space left"):
        execute.write(new_notebook(), target)
    assert target.read_text() == "the last good one"
    assert os.listdir(tmp_path) == ["nb.ipynb"]


def test_updates_of_an_output_show_while_the_cell_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # A running search is an output that is updated in place, and its last line is the progress.
    # The cell ends only after the terminal has shown it.
    seen = tmp_path / "seen"
    os.mkfifo(seen)
    notebook = new_notebook(
        cells=[
            new_code_cell(
                "shown = display({'text/plain': '0 of 9 fits'}, raw=True, display_id=True)\n"
                "shown.update({'text/plain': 'a report\\n5 of 9 fits'}, raw=True)\n"
                f"print(open({str(seen)!r}).read())"
            )
        ]
    )

    class Terminal(io.StringIO):
        saw = False

        def isatty(self) -> bool:
            return True

        def write(self, text: str) -> int:
            if "5 of 9 fits" in text and not self.saw:
                self.saw = True
                seen.write_text("9 of 9 fits")
            return super().write(text)

    monkeypatch.setenv("COLUMNS", "80")
    out = Terminal()
    execute.execute(notebook, folder=tmp_path, cell_timeout=20, out=out)

    first, *drawn = out.getvalue().split("\r\x1b[K")
    assert first == ""
    assert all(line.startswith("[1/1] shown = display(") for line in drawn)
    assert max(len(line.rstrip("\n")) for line in drawn) < 80
    assert drawn[-1].endswith(" s  9 of 9 fits\n")
    assert out.getvalue().count("\n") == 1
