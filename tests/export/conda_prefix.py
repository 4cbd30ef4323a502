"""A conda prefix made offline: packages of the tests' own, a channel in a folder, rattler.

The package python is the Python that runs the tests, as a virtual environment has it; all the rest
(solving, linking, conda-meta) is what conda does.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import rattler
from rattler.index import index_fs

from jupyter_scale.export import buildpack

SITE = f"lib/python3.{sys.version_info[1]}/site-packages"
CHANNEL = "mirror/conda-forge"
WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
PYTHON = ".".join(map(str, sys.version_info[:3]))


def package(
    channel: Path,
    name: str,
    version: str,
    files: Mapping[str, str],
    depends: Iterable[str] = (),
    links: Mapping[str, str] | None = None,
) -> None:
    """Write a package to a channel."""
    build = "h1_0"
    folder = channel / "linux-64"
    folder.mkdir(parents=True, exist_ok=True)
    index = {
        "name": name, "version": version, "build": build, "build_number": 0,
        "depends": list(depends), "subdir": "linux-64", "arch": "x86_64", "platform": "linux",
        "license": "BSD",
    }  # fmt: skip
    entries = []
    with tarfile.open(folder / f"{name}-{version}-{build}.tar.bz2", "w:bz2") as tar:

        def add(path: str, data: bytes, kind: str = "hardlink", target: str = "") -> None:
            info = tarfile.TarInfo(path)
            info.mode, info.size = 0o755 if path.startswith("bin/") else 0o644, len(data)
            if target:
                info.type, info.linkname = tarfile.SYMTYPE, target
            tar.addfile(info, io.BytesIO(data))
            digest = hashlib.sha256(data).hexdigest()
            entries.append({"_path": path, "path_type": kind, "sha256": digest,
                            "size_in_bytes": len(data)})  # fmt: skip

        for path, text in files.items():
            add(path, text.encode())
        for path, target in (links or {}).items():
            add(path, b"", "softlink", target)
        paths = {"paths": list(entries), "paths_version": 1}
        listed = "\n".join(str(entry["_path"]) for entry in entries)
        add("info/index.json", json.dumps(index).encode())
        add("info/paths.json", json.dumps(paths).encode())
        add("info/files", listed.encode())


def distribution(
    name: str, version: str, *requires: str, installer: str = "conda"
) -> dict[str, str]:
    """Return the files of a Python package."""
    head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    info = f"{SITE}/{name}-{version}.dist-info"
    direct = {"url": f"file:///home/conda/feedstock_root/{name}", "dir_info": {}}
    return {
        f"{SITE}/{name}.py": f"__version__ = {version!r}\n",
        f"{info}/METADATA": head + "".join(f"Requires-Dist: {one}\n" for one in requires),
        f"{info}/INSTALLER": "conda\n",
        f"{info}/WHEEL": WHEEL,
        f"{info}/direct_url.json": json.dumps(direct),
        f"{info}/RECORD": f"{name}.py,,\n{name}-{version}.dist-info/METADATA,,\n",
    }


def make(folder: Path) -> Path:
    """Make a prefix in a folder, and the channel that it is of, and return the prefix."""
    channel, prefix = folder / CHANNEL, folder / "prefix"
    base = Path(sys.base_prefix) / f"bin/python3.{sys.version_info[1]}"
    home = f"home = {base.parent}\ninclude-system-site-packages = false\n"
    package(channel, "python", PYTHON, {"pyvenv.cfg": home}, links={"bin/python": str(base)})
    package(channel, "libtoy", "9", {"lib/libtoy.so": ""})
    package(channel, "inner", "0.5", distribution("inner", "0.5"), ["python"])
    package(channel, "toy", "1.2", distribution("toy", "1.2", "inner"),
            ["python", "inner", "libtoy"])  # fmt: skip
    package(channel, "replaced", "2.0", distribution("replaced", "2.0"), ["python"])
    package(channel, "draws", "3.1", {"bin/draws": "#!/bin/sh\n"})
    package(channel, "unused", "7", distribution("unused", "7"), ["python"])
    package(channel, "pip", "99", distribution("pip", "99"), ["python"])
    (channel / "noarch").mkdir()
    asyncio.run(_install(channel, prefix, folder / "cache"))
    _by_pip(prefix, "replaced", "2.1")
    _by_pip(prefix, "piponly", "4.0")
    return prefix


def with_base(
    channel: Path,
    depends: Mapping[str, Iterable[str]],
    more: Iterable[tuple[str, str, str]],
) -> None:
    """List in a channel what repo2docker installs from conda-forge: to be resolved, not installed.

    Parameters
    ----------
    channel : Path
    depends : mapping of str to iterable of str
        What some of these packages require, by name.
    more : iterable of (str, str, str)
        Name, version and build of others.
    """
    before = buildpack.conda(PYTHON.rpartition(".")[0])
    assert len(before.packages) > 100
    packages = [(name, *one) for name, one in before.packages.items()]
    listed = {
        f"{name}-{version}-{build}.tar.bz2": {
            "name": name, "version": version, "build": build, "build_number": 0,
            "depends": list(depends.get(name, ())), "subdir": "noarch", "sha256": "0" * 64,
        }
        for name, version, build in [*packages, *more]
    }  # fmt: skip
    folder = channel / "noarch"
    for path in folder.glob("repodata*"):
        path.unlink()
    found = {"info": {"subdir": "noarch"}, "packages": listed, "repodata_version": 1}
    (folder / "repodata.json").write_text(json.dumps(found))


async def _install(channel: Path, prefix: Path, cache: Path) -> None:
    asked = [f"python =={PYTHON}", "toy", "replaced", "draws", "unused"]
    await index_fs(channel)
    records = await rattler.solve(
        [rattler.Channel(channel.as_uri())], asked, platforms=["linux-64", "noarch"],
        virtual_packages=[],
    )  # fmt: skip
    specs = [rattler.MatchSpec(text)._match_spec for text in asked]
    await rattler.install(
        records, target_prefix=prefix, cache_dir=cache, requested_specs=specs,
        show_progress=False,
    )  # fmt: skip


def _by_pip(prefix: Path, name: str, version: str) -> None:
    """Install a wheel of our own over what is there."""
    wheel = prefix.parent / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", f"__version__ = {version!r}\n")
        head = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        archive.writestr(f"{info}/METADATA", head)
        archive.writestr(f"{info}/WHEEL", WHEEL)
        archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    found = f"{prefix.parent}/"
    subprocess.run(
        [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--offline", "--no-index",
         "--python", str(prefix / "bin/python"), "--find-links", found, f"{name}=={version}"],
        check=True,
    )  # fmt: skip
