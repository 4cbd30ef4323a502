"""Files are put in place whole or not at all, and nobody else's is lost."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.tree import REPORT, Change, Tree, owned


def made(**files: str) -> Tree:
    tree = Tree()
    for name, text in files.items():
        tree.add(name.replace("__", "/"), text)
    tree.add(REPORT, json.dumps({"files": tree.digests()}))
    return tree


def put(tree: Tree, folder: Path) -> dict[str, str]:
    with tree.staged(folder) as stage:
        changes = tree.publish(stage, folder)
    return {change.path: change.kind for change in changes}


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_new_folder_has_all_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    tree = made(a="1", binder__b="2")
    tree.add("binder/start", "#!/bin/sh", executable=True)
    put(tree, folder)
    assert contents(folder)["binder/b"] == "2"
    assert os.access(folder / "binder/start", os.X_OK)
    assert not os.access(folder / "binder/b", os.X_OK)
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_again_only_what_differs_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    put(made(a="1", b="2", c="3"), folder)
    before = (folder / "a").stat().st_mtime_ns
    kinds = put(made(a="1", b="two", d="4"), folder)
    assert kinds == {"a": "same", "b": "changed", "c": "removed", "d": "new", REPORT: "changed"}
    assert (folder / "a").stat().st_mtime_ns == before
    assert contents(folder).keys() == {"a", "b", "d", REPORT}


def test_the_difference_is_shown(tmp_path: Path) -> None:
    put(made(a="1\n2\n"), tmp_path / "out")
    [change] = [one for one in made(a="1\ntwo\n").changes(tmp_path / "out") if one.path == "a"]
    assert change.difference[1:] == (" 1", "-2", "+two")


@pytest.mark.parametrize("kind", ["foreign", "edited", "link", "folder", "file for a folder"])
def test_what_is_not_ours_is_never_touched(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "out"
    if kind == "edited":
        put(made(binder__b="1"), folder)
        (folder / "binder/b").write_text("mine")
    else:
        (folder / "binder").mkdir(parents=True)
        (folder / "mine").write_text("mine")
        if kind == "foreign":
            (folder / "binder/b").write_text("mine")
        elif kind == "link":
            (folder / "binder/b").symlink_to(folder / "mine")
        elif kind == "folder":
            (folder / "binder/b").mkdir()
        else:
            (folder / "binder").rmdir()
            (folder / "binder").write_text("mine")
    before = contents(folder)
    tree = made(binder__b="2", a="1")
    assert [one.id for one in tree.findings(folder)] == ["foreign:binder/b"]
    with pytest.raises(ExportError, match="binder/b"):
        put(tree, folder)
    assert contents(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_link_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "binder").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportError, match="in the way"):
        put(made(binder__b="1"), tmp_path / "out")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("after", range(5))
def test_a_failure_half_way_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    folder = tmp_path / "out"
    put(made(a="1", b="1", c="1"), folder)
    (folder / "mine").write_text("mine")
    before = contents(folder)
    replace, count = os.replace, 0

    def failing(source: Path, target: Path) -> None:
        nonlocal count
        if count == after:
            count += 1
            raise OSError("the disk is full")
        count += 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="full"):
        put(made(a="2", b="2", new__d="2"), folder)
    assert contents(folder) == before
    assert not (folder / "new").exists()


def test_a_file_of_an_earlier_export_that_was_edited_is_not_removed(tmp_path: Path) -> None:
    put(made(a="1", b="1"), tmp_path / "out")
    (tmp_path / "out" / "b").write_text("mine")
    put(made(a="1"), tmp_path / "out")
    assert contents(tmp_path / "out")["b"] == "mine"


def test_a_report_of_somebody_else_owns_nothing(tmp_path: Path) -> None:
    (tmp_path / "provenance").mkdir()
    for text in ("{}", "[]", "nonsense", '{"files": {"../x": "0"}}'):
        (tmp_path / REPORT).write_text(text)
        assert owned(tmp_path) == {}
    assert Change(REPORT, "foreign") in made(a="1").changes(tmp_path)


@given(st.text(max_size=30))
def test_no_path_leads_out_of_the_folder(path: str) -> None:
    tree = Tree()
    try:
        tree.add(path, "")
    except ValueError:
        return
    assert not Path(path).is_absolute()
    assert ".." not in Path(path).parts
    assert (Path("/folder") / path).resolve().is_relative_to("/folder")
