"""What a notebook's file says: read from files that are written here."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from jupyter_scale.export.finding import ExportError
from jupyter_scale.export.notebook import cleaned, examine, read, serialised
from jupyter_scale.export.source import read_cell, read_module


def written(folder: Path, *sources: str, name: str = "nb.ipynb", **metadata: object) -> Path:
    notebook = new_notebook(cells=[new_code_cell(source) for source in sources], metadata=metadata)
    nbformat.write(notebook, folder / name)
    return folder / name


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ("import a.b, c as d", "imports", ["a.b", "c"]),
        ("try:\n    from a import b\nexcept ImportError:\n    b = None", "imports", ["a", "a.b"]),
        ("x = !git log\nimport a", "imports", ["a"]),
        ("x = !git log\nimport a", "programs", ["git"]),
        ("for i in a:\n    !dot -Tsvg {i} | grep x > y", "programs", ["dot"]),
        (
            "!FOO=1 /bin/ffmpeg -i a \\\n && rm b && pandoc c",
            "programs",
            ["ffmpeg", "pandoc"],
        ),
        ("%%bash\nset -e\nif true; then\n  curl x\nfi\n", "programs", ["curl"]),
        ("%%html\n<b>import this</b>", "imports", []),
        ("%%time\nimport a", "imports", ["a"]),
        ("%%scale -o report\nimport a", "imports", ["jupyter_scale", "a"]),
        ("%time import a", "imports", ["a"]),
        ("%matplotlib inline", "imports", ["matplotlib"]),
        ("%load_ext thing.sub", "imports", ["thing.sub"]),
        ("import importlib\nimportlib.import_module('a.b')", "imports", ["importlib", "a.b"]),
        ("%pip install -q x==1", "installs", ["pip install -q x==1"]),
        ("!python -m pip install x", "installs", ["python -m pip install x"]),
        ("!pip install x", "programs", []),
        ("x = '''\n%pip install y\n'''", "installs", []),
        ("os.environ['A'], os.environ.get('B', 1), os.getenv('C')", "variables", ["A", "B", "C"]),
        ("os.environ['A'] = 'x'", "variables", ["A"]),
        ("subprocess.run(['dot', x]); os.system('git pull; ls')", "programs", ["dot", "git"]),
        ("model.run('train'); run('x')", "programs", ["train"]),
        ("np.random.rand(3); random.choice(x)", "draws", ["np.random.rand", "random.choice"]),
        ("rng = np.random.default_rng(0); rng.random()", "draws", []),
        ("np.random.default_rng()", "draws", ["np.random.default_rng"]),
        ("np.random.seed(0)", "seeds", ["np.random.seed"]),
        ("pd.read_csv('data/x.csv')", "strings", ["data/x.csv"]),
        ("len?\nimport a", "imports", ["a"]),
    ],
)
def test_what_a_cell_asks_for(source: str, kind: str, expected: list[str]) -> None:
    assert getattr(read_cell(source), kind) == expected


def test_a_cell_that_is_no_python_says_so_and_still_names_its_imports() -> None:
    said = read_cell("import a\nthis is no python")
    assert said.unreadable.startswith("line 2")
    assert said.imports == ["a"]


def test_imports_of_a_package_are_relative_to_it() -> None:
    said = read_module("from . import a\nfrom .b import c\nfrom ..d import e", ("top", "sub"))
    assert said.imports == ["top.sub", "top.sub.a", "top.sub.b", "top.sub.b.c", "top.d", "top.d.e"]


def test_local_modules_are_followed_through_one_another(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("from package.inner import f")
    package = tmp_path / "package"
    (package / "__pycache__").mkdir(parents=True)
    for name in ("__init__.py", "inner.py", "table.csv", "__pycache__/inner.pyc"):
        (package / name).write_text("import two" if name == "inner.py" else "")
    (tmp_path / "two.py").write_text("import numpy")
    (tmp_path / "unused.py").write_text("import pandas")
    notebook = read(written(tmp_path, "import one", "import os"))
    found = examine(notebook)
    names = [path.relative_to(tmp_path).as_posix() for path in found.local]
    assert names == ["one.py", *(f"package/{n}" for n in ("__init__.py", "inner.py", "table.csv")),
                     "two.py"]  # fmt: skip
    assert found.places("imports")["numpy"] == ("two.py",)
    assert "pandas" not in found.places("imports")


def test_the_published_copy_has_a_kernelspec_that_is_everywhere_and_does_not_export(
    tmp_path: Path,
) -> None:
    spec = {"name": "my-env", "display_name": "Mine", "language": "python"}
    notebook = read(written(tmp_path, "1 + 1", "%scale export out --yes", kernelspec=spec))
    content = cleaned(notebook)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    assert [cell["metadata"].get("tags", []) for cell in content["cells"]] == [
        [],
        ["skip-execution"],
    ]
    assert notebook.content["metadata"]["kernelspec"]["name"] == "my-env", (
        "the original is as it was"
    )
    assert nbformat.reads(serialised(content).decode(), as_version=4).cells[0].source == "1 + 1"


def test_outputs_and_counts_are_read(tmp_path: Path) -> None:
    cell = new_code_cell("1", execution_count=3)
    cell.outputs = [new_output("display_data", {"text/plain": "1", "image/png": "aGk="})]
    nbformat.write(new_notebook(cells=[cell, new_code_cell("")]), tmp_path / "a.ipynb")
    notebook = read(tmp_path / "a.ipynb")
    assert notebook.mimetypes == {"text/plain", "image/png"}
    assert [one.count for one in notebook.cells] == [3, None]
    assert notebook.ran
    assert notebook.cells[1].empty


@pytest.mark.parametrize(
    ("text", "says"),
    [("{}", "not a notebook"), ("nonsense", "not a notebook"), (None, "cannot be read")],
)
def test_what_is_no_notebook(tmp_path: Path, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / "x.ipynb").write_text(text)
    with pytest.raises(ExportError, match=says):
        read(tmp_path / "x.ipynb")


def test_other_languages_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, kernelspec={"name": "ir", "display_name": "R", "language": "R"})
    with pytest.raises(ExportError, match="written in R; only Python"):
        read(path)
