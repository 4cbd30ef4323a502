"""All benchmarks into one page; one that fails takes nothing from the others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import run
from side_by_side import Claim, Result

RESULT = Result(
    "what was measured",
    [Claim.at_most("memory", 1.2, 1.5), Claim.at_least("speed", 3.0, 4.0)],
    [("grid", "seconds"), ("text", "1.00")],
    notes=["one line", "a table\nof lines"],
)


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    text = json.dumps(asdict(RESULT))
    good = f"import sys; print({text!r}); sys.exit('--check' in sys.argv)"
    (tmp_path / "good.py").write_text(good)
    (tmp_path / "bad.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "BENCHMARKS", {"good": (), "bad": (), "again": ()})
    (tmp_path / "again.py").write_text(good)
    return tmp_path


def test_a_failure_takes_nothing_from_the_others(
    programs: Path, capsys: pytest.CaptureFixture[str]
):
    assert run.main([]) == 1
    text = (programs / "RESULTS.md").read_text()
    assert "| memory | at most 1.5 | 1.2 | pass |" in text
    assert "| speed | at least 4 | 3 | FAIL |" in text
    assert "## bad\n\nIt did not finish." in text
    assert text.index("## good") < text.index("## bad") < text.index("## again")
    assert "- one line\n\n```\na table\nof lines\n```" in text
    assert str(programs) not in text
    assert "bad failed" in capsys.readouterr().err


def test_a_check_fails_when_a_claim_is_not_kept(programs: Path):
    assert run.main(["good"]) == 0
    assert run.main(["good", "--check"]) == 1
    assert "| speed |" in (programs / "RESULTS.md").read_text()


def test_what_does_not_run_now_stays_where_it_is_of_the_same_machine(programs: Path):
    page = programs / "RESULTS.md"
    assert run.main(["again"]) == 0
    before = page.read_text()
    assert run.main(["good"]) == 0
    both = page.read_text()
    assert both.index("## good") < both.index("## again")
    assert before.partition("## again")[2] == both.partition("## again")[2]
    page.write_text(both.replace("Python 3.", "Python 2."))
    assert run.main(["good"]) == 0
    assert "## again" not in page.read_text()


def test_tiny_sizes_are_not_written(programs: Path, capsys: pytest.CaptureFixture[str]):
    assert run.main(["--quick", "good"]) == 0
    assert not (programs / "RESULTS.md").exists()
    assert "Tiny sizes" in capsys.readouterr().out


def test_every_benchmark_is_there():
    for name in run.BENCHMARKS:
        assert (Path(run.__file__).parent / f"{name}.py").exists()
