"""Exact versions in the words of pip, conda and pylock.toml."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest
import yaml
from environments import distributions, snapshot
from hypothesis import given
from hypothesis import strategies as st
from packaging.pylock import Pylock
from packaging.requirements import Requirement

from jupyter_scale.export.lock import (
    Lock,
    Pin,
    conda_lock,
    environment,
    locked,
    plain,
    requirements,
)
from jupyter_scale.export.pylock import Hashes, known, pylock
from jupyter_scale.export.roots import Root
from jupyter_scale.export.snapshot import CondaPackage, Distribution


def rooted(*names: str) -> list[Root]:
    return [Root(name, "", ("imported in cell 1",)) for name in names]


def lines(lock: Lock) -> list[str]:
    text = requirements(lock)
    return [line.partition("  #")[0] for line in text.splitlines() if line[:1] != "#"]


def test_all_that_roots_require_is_pinned_as_installed() -> None:
    lock = locked(rooted("pandas", "distributed"), snapshot())
    assert lines(lock) == [
        "click==8.5", "dask==2026.8", "distributed==2026.8", "numpy==2.4", "pandas==3.0",
        "tornado==6.6",
    ]  # fmt: skip
    assert lock.minor == "3.11"
    assert "numpy==2.4  # for pandas" in requirements(lock)


def test_the_base_is_left_alone_unless_it_is_a_root() -> None:
    lock = locked(rooted("jupyter-server-proxy"), snapshot())
    assert lines(lock) == ["aiohttp==3.1", "jupyter-server-proxy==4.6"]
    lock = locked(rooted("jupyter-server"), snapshot())
    assert lines(lock) == ["anyio==4.1", "jupyter-server==2.1", "tornado==6.6"]


def test_the_image_is_linux_wherever_the_notebook_ran() -> None:
    there = snapshot()
    installed = distributions({"click": ("8", "colorama; sys_platform == 'win32'"),
                               "colorama": ("1",)})  # fmt: skip
    windows = {**there.markers, "sys_platform": "win32", "platform_system": "Windows"}
    there = replace(there, distributions=installed, markers=windows)
    assert lines(locked(rooted("click"), there)) == ["click==8"]


def test_repositories_archives_and_wheels_are_named_as_they_are() -> None:
    commit = "a" * 40
    there = snapshot(
        distributions={
            "a": Distribution("a", "1", url="git+https://me:pw@example.org/a.git", commit=commit),
            "b": Distribution("b", "1", url="https://example.org/b-1.tar.gz", digest="1" * 64),
            "c": Distribution("c", "1", url="file:///somewhere/c", editable=True),
        }
    )
    local = {"c": "./binder/wheels/c-1-py3-none-any.whl"}
    lock = locked(rooted("a", "b", "c"), there, local=local, digests={"c": "0" * 64})
    assert lines(lock) == [
        f"a @ git+https://example.org/a.git@{commit}",
        "b @ https://example.org/b-1.tar.gz",
        "./binder/wheels/c-1-py3-none-any.whl",
    ]
    found = Pylock.from_dict(tomllib.loads(pylock(lock, Hashes({}))))
    vcs, archive, wheel = (one.vcs or one.archive for one in found.packages)
    assert (vcs.type, vcs.commit_id) == ("git", commit)
    assert archive is not None
    assert wheel.path == "../binder/wheels/c-1-py3-none-any.whl"
    assert wheel.hashes == {"sha256": "0" * 64}


def test_pylock_has_hashes_and_no_address_of_a_private_index() -> None:
    pins = (Pin("a", "1", "a==1"), Pin("b", "2", "b==2"), Pin("c", "3", "c==3"))
    wheel = "{0}-1-py3-none-any.whl"

    def file(name: str, host: str, digest: str) -> tuple[tuple[str, str, int, str], ...]:
        file = wheel.format(name)
        return ((file, f"https://{host}.example.org/{file}", 10, digest * 64),)

    hashes = Hashes({"a": file("a", "files", "0"), "b": file("b", "private", "1")})
    text = pylock(Lock("3.11.7", pins), hashes, ["https://private.example.org/simple"])
    found = Pylock.from_dict(tomllib.loads(text))
    assert [(one.name, one.wheels[0].hashes) for one in found.packages if one.wheels] == [
        ("a", {"sha256": "0" * 64})
    ]
    assert "private" not in text
    assert f"#     {wheel.format('b')} sha256:{'1' * 64}" in text
    assert "#   c==3" in text

    # a file of a folder, or of another index, says nothing of what everybody has
    here = {"c": (("c.whl", "file:///wheels/c.whl", 1, "2" * 64),)}
    some = Hashes({**hashes.files, **here}, "the index does not know d")
    assert known(some, ["https://private.example.org/simple", "file:///wheels"]) == {"a"}
    assert known(some, []) == {"a", "b"}
    assert known(Hashes({}, "uv is not installed"), []) is None
    assert known(Hashes({}), []) == frozenset()


def test_conda_is_pinned_without_builds_and_pip_goes_over_it() -> None:
    def package(name: str, version: str, **more: object) -> CondaPackage:
        channel = "https://conda.anaconda.org/conda-forge/linux-64"
        return CondaPackage(name, version, "h123_0", "linux-64", channel, **more)  # type: ignore[arg-type]  # by name

    conda = (
        package("python", "3.11.7", requested=("python=3.11",), programs=("python",)),
        package("numpy", "2.4", metadata=("numpy",), sha256="0" * 64,
                url="https://me:t@example.org/t/x-1/numpy.conda"),
        package("pandas", "2.9", metadata=("pandas",)),
        package("graphviz", "12.0", programs=("dot",), url="file:///here/graphviz.conda"),
        package("r-base", "4.4", requested=("r-base",)),
        package("libgcc", "15.1"),
    )  # fmt: skip
    there = snapshot(kind="conda", conda=conda)
    over = {
        **there.distributions,
        "pandas": replace(there.distributions["pandas"], installer="pip"),
    }
    lock = locked(rooted("pandas"), replace(there, distributions=over), programs=["dot"])
    text = environment(lock)
    found = yaml.safe_load(text)
    assert found["channels"] == ["conda-forge"]
    assert found["dependencies"] == [
        "python=3.11.7", "numpy=2.4", "graphviz=12.0", "r-base=4.4", "pip",
        {"pip": ["pandas==3.0"]},
    ]  # fmt: skip
    assert "h123" not in text
    explicit = conda_lock(lock)
    assert f"https://example.org/numpy.conda#sha256:{'0' * 64}" in explicit
    assert "# graphviz-12.0-h123_0" in explicit
    assert "/here" not in explicit


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://user:pw@host.org/p?token=1", "https://host.org/p"),
        ("git+https://token@host.org/a.git", "git+https://host.org/a.git"),
        ("https://host.org/t/se-cret/conda-forge", "https://host.org/conda-forge"),
    ],
)
def test_no_address_has_a_login(url: str, expected: str) -> None:
    assert plain(url) == expected


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True))
def test_each_line_is_a_requirement_of_that_name(name: str) -> None:
    there = {name: Distribution(name, "1.0+local.1")}
    [line] = lines(locked([Root(name, "1.0", ())], _of(name, there)))
    parsed = Requirement(line)
    assert str(parsed.specifier) == "==1.0+local.1"
    assert not parsed.url


@given(st.text(min_size=1, max_size=20).filter(lambda text: not text.isalnum()))
def test_a_name_that_is_none_is_never_written(name: str) -> None:
    from packaging.utils import canonicalize_name

    from jupyter_scale.export import lock

    pinned = Distribution(name, "1.0")
    if lock.NAME.fullmatch(name) is None:
        with pytest.raises(ValueError, match="not the name of a distribution"):
            lock._pin(pinned, (), {})
    else:
        assert Requirement(lock._pin(pinned, (), {}).line).name == name
    assert canonicalize_name(name) is not None


def _of(name: str, there: dict[str, Distribution]):  # type: ignore[no-untyped-def]  # a Snapshot
    from packaging.utils import canonicalize_name

    return snapshot(distributions={canonicalize_name(name): there[name]})
