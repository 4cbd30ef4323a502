"""The lessons of the course, run by a real kernel: as they are given, and with their solutions."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import execute
import nbformat
import pytest
from cells import text_of, warned
from nbformat import NotebookNode

COURSE = Path(execute.__file__).parent / "course"
LESSONS = sorted(path.stem for path in COURSE.glob("*.ipynb"))
DONE = {
    "1-why-merged": {"1a", "1b", "1c"},
    "2-clusters": {"2a", "2b", "2c"},
    "3-watch-and-tune": {"3a", "3b", "3c"},
    "4-make-reproducible": {"4a", "4b"},
}


def read(lesson: str) -> NotebookNode:
    return nbformat.read(COURSE / f"{lesson}.ipynb", as_version=4)


def solved(lesson: str, folder: Path) -> NotebookNode:
    """Have the course's own program put the solutions in the place of the three dots."""
    target = folder / "solved.ipynb"
    said("--solve", COURSE / f"{lesson}.ipynb", target)
    return nbformat.read(target, as_version=4)


def ran(lesson: NotebookNode, folder: Path, *options: str) -> NotebookNode:
    """Run it beside the checks, from the first cell to the last, without a warning."""
    (folder / "checks.py").write_text((COURSE / "checks.py").read_text())
    nbformat.write(read("1-why-merged"), folder / "1-why-merged.ipynb")  # that lesson 4 looks at
    source, target = folder / "lesson.ipynb", folder / "ran.ipynb"
    nbformat.write(lesson, source)
    assert execute.main([str(source), "--output", str(target), *options]) == 0
    notebook = nbformat.read(target, as_version=4)
    assert warned(notebook) == []
    return notebook


def said(*arguments: object) -> str:
    command = [sys.executable, str(COURSE / "checks.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_lesson_is_tested() -> None:
    assert set(LESSONS) == set(DONE)


@pytest.mark.parametrize("lesson", LESSONS)
def test_an_exercise_has_dots_a_check_and_a_folded_solution(lesson: str) -> None:
    notebook = read(lesson)
    cells = {cell.id: cell for cell in notebook.cells}
    exercises = [name for name in cells if name.startswith("exercise-")]
    assert {re.sub("exercise-(..).*", r"\1", name) for name in exercises} == DONE[lesson]
    for name in exercises:
        assert "..." in cells[name].source
        assert "exercise" in cells[name].metadata.tags
        solution = cells[name.replace("exercise", "solution")].source
        assert solution.startswith("<details><summary>Solution")
        assert solution.endswith("</details>")
    for name in DONE[lesson]:
        assert cells[f"check-{name}"].source.startswith("checks.")
    assert all(cell.outputs == [] for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.long
def test_the_first_lesson_as_it_is_given_and_solved(tmp_path: Path) -> None:
    given = ran(read("1-why-merged"), tmp_path, "--set", "N_ROWS=150")
    for name in DONE["1-why-merged"]:
        line = f"Exercise {name}: not yet. Put your answer in the place of the three dots.\n"
        assert text_of(given, f"check-{name}") == line
    assert said(tmp_path / "ran.ipynb").endswith("0 of 3 done; not yet 1a, 1b, 1c\n")
    found = ran(solved("1-why-merged", tmp_path), tmp_path, "--set", "N_ROWS=150")
    assert text_of(found, "check-1a") == "Exercise 1a: done. 27 of 54 fits would be for nothing.\n"
    assert said(tmp_path / "ran.ipynb").endswith("3 of 3 done\n")


@pytest.mark.long
@pytest.mark.parametrize("lesson", LESSONS[1:])
@pytest.mark.parametrize("is_solved", [False, True])
def test_a_lesson_runs_as_it_is_given_and_solved(
    lesson: str, is_solved: bool, tmp_path: Path
) -> None:
    notebook = solved(lesson, tmp_path) if is_solved else read(lesson)
    ran(notebook, tmp_path, "--set", "N_ROWS=200")
    count = len(DONE[lesson])
    expected = f"{count} of {count} done" if is_solved else f"0 of {count} done"
    assert expected in said(tmp_path / "ran.ipynb")
