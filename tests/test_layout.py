"""The arrows between the parts point one way (DESIGN, Layout): read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jupyter_scale"
PARTS = ("search", "clusters", "runs", "export", "parallel")
JUPYTER = ("IPython", "ipykernel", "ipywidgets", "jupyter_server")


def imports(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports, anywhere in it."""
    package = path.relative_to(PACKAGE.parent).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{module}.{alias.name}" for alias in node.names)


def found(part: str, banned: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in sorted((PACKAGE / part).rglob("*.py"))
        for name in imports(path)
        if any(name == ban or name.startswith(f"{ban}.") for ban in banned)
    ]


@pytest.mark.parametrize("part", PARTS)
def test_parts_know_nothing_of_jupyter(part: str) -> None:
    assert not found(part, JUPYTER)


@pytest.mark.parametrize("part", PARTS)
def test_parts_do_not_reach_up(part: str) -> None:
    above = ("magics", "cell", "command", "view", "server")
    assert not found(part, tuple(f"jupyter_scale.{name}" for name in above))


def test_search_stands_alone() -> None:
    others = tuple(f"jupyter_scale.{name}" for name in PARTS if name != "search")
    assert not found("search", others)


def test_the_rule_sees_imports(tmp_path: Path) -> None:
    assert "IPython.core.error.UsageError" in set(imports(PACKAGE / "command" / "line.py"))
