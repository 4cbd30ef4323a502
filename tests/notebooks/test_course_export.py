"""The course as its students get it: an index, a page of each lesson, a folder for Binder."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import execute
import pytest

from jupyter_scale.export import Options, plan, write
from jupyter_scale.export.course import files, page_of

COURSE = Path(execute.__file__).parent / "course"
LESSONS = {path.name: json.loads(path.read_text()) for path in sorted(COURSE.glob("*.ipynb"))}
REPOSITORY = "https://github.com/example/scale-course"


def test_the_index_leads_to_every_lesson() -> None:
    made = files(
        LESSONS, heading="A course", address=REPOSITORY, hub="https://hub.example.org", live=True
    )
    index = made["index.html"]
    assert isinstance(index, bytes)
    text = unescape(index.decode())
    titles = re.findall("<h2>(.*?)</h2>", text)
    assert [title.partition(":")[0] for title in titles] == [f"Lesson {n}" for n in range(1, 5)]
    for name in LESSONS:
        assert f'href="{page_of(name)}"' in text
        assert f"mybinder.org/v2/gh/example/scale-course/HEAD?urlpath=lab%2Ftree%2F{name}" in text
        assert f"urlpath=lab%2Ftree%2Fscale-course%2F{name}" in text
        page = made[page_of(name)]
        assert isinstance(page, bytes)
        assert b"<summary>Solution" in page, "folded there too"


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_all_of_it_is_exported(tmp_path: Path) -> None:
    out = tmp_path / "scale-course"
    asked = Options(wheels=True, yes=True, course=True, thebe=True, binder=REPOSITORY, verify=False)
    found = plan([COURSE / name for name in LESSONS], out, asked)
    answers = tuple(one.id for one in found.report().open if one.answer)
    report = write(replace(found, options=replace(asked, accept=answers)))
    assert report.notebooks == tuple(LESSONS)
    there = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"checks.py", "index.html", "README.md", "binder/requirements.txt", *LESSONS} <= there
    assert {page_of(name) for name in LESSONS} <= there
    required = (out / "binder/requirements.txt").read_text()
    assert "scikit-learn==" in required
    assert "jupyter_scale-" in required
    for name in LESSONS:
        cells = json.loads((out / name).read_text())["cells"]
        assert any("not yet" in str(cell.get("outputs")) for cell in cells)
