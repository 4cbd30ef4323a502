"""What is installed and loaded in one process: sent as text to a kernel, and to workers.

It is carried out where nothing of this package may be installed, so it imports the standard library
alone, runs on any Python that repo2docker knows, and returns what JSON can hold. No value of an
environment variable is read. `Snapshot` is what it becomes here.
"""

from __future__ import annotations

import configparser
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from functools import lru_cache
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

if TYPE_CHECKING:
    from collections.abc import Iterable

OURS = ("jupyter_scale.export",)
BUILTINS = ("sitecustomize", "usercustomize", "_virtualenv", "_distutils_hack", "__mp_main__")
METADATA = re.compile(r"/([^/]+?)-[^/-]+(?:-py[\d.]+)?\.(?:dist|egg)-info(?:/|$)")
MOST = 2000  # names of each kind


def probe(
    folder: str,
    imports: Iterable[str] = (),
    programs: Iterable[str] = (),
    indexes: bool = True,
) -> dict[str, Any]:
    """Return what this process has.

    Parameters
    ----------
    folder : str
        The notebook's.
    imports : iterable of str
        Dotted names in its code, which are looked for, not imported.
    programs : iterable of str
        That it calls.
    indexes : bool
        Whether to read pip's configuration.
    """
    imports = list(imports)[:MOST]
    loaded = _of_others(dict(sys.modules), imports)
    installed = _Installed()
    here = os.path.realpath(folder)
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "implementation": sys.implementation.name,
        "kind": _kind(),
        "prefix": sys.prefix,
        "markers": _markers(),
        "distributions": installed.described,
        "conda": conda(sys.prefix),
        "labextensions": installed.labextensions(),
    }
    found.update(_loaded(loaded, installed, here))
    found["imports"] = {name: _resolved(name, installed, here) for name in imports}
    found["programs"] = {name: _program(name, installed) for name in programs}
    found["libraries"] = _libraries()
    found["indexes"] = _indexes() if indexes else []
    recorder = sys.modules.get("jupyter_scale.export.opened")
    found["opened"] = recorder.files() if recorder is not None else []
    found["made"] = recorder.made() if recorder is not None else []
    found["since"] = recorder.since() if recorder is not None else 0.0
    return found


def tops_on_workers() -> list[str]:
    """Return the names of what the workers of this process's Dask client have imported.

    It takes a moment, so it can be asked after each cell: a cluster may be gone at the end.
    """
    client = _client()
    if client is None:
        return []

    def ask() -> list[str]:
        import sys

        return sorted({name.split(".", 1)[0] for name in list(sys.modules)})

    answers = client.run(ask, on_error="ignore")
    return sorted({name for names in answers.values() if isinstance(names, list) for name in names})


def on_workers(source: str, client: Any = None, most: int = 32) -> list[dict[str, Any]]:
    """Return what the workers of a Dask client have, of this process's own if none is given.

    Parameters
    ----------
    source : str
        The text of this module: workers need not have it.
    client : distributed.Client, optional
    most : int
        Workers that are asked.
    """
    client = client or _client()
    if client is None or client.status != "running" or client.asynchronous:
        return []

    def ask() -> str:
        namespace: dict[str, Any] = {"__name__": "probe"}
        exec(source, namespace)
        found: str = namespace["json"].dumps(namespace["probe"]("", indexes=False))
        return found

    workers = list(client.nthreads())[:most]
    answers = client.run(ask, workers=workers, on_error="ignore")
    return [json.loads(answer) for answer in answers.values() if isinstance(answer, str)]


def _client() -> Any:
    """Return this process's Dask client, if there is one that works."""
    distributed = sys.modules.get("distributed")
    try:
        client = distributed.default_client() if distributed is not None else None
    except (ValueError, AttributeError):
        return None
    return client if client and client.status == "running" and not client.asynchronous else None


class _Installed:
    """The distributions of this process, and what of them is whose."""

    def __init__(self) -> None:
        self.described: list[dict[str, Any]] = []
        self.tops: dict[str, list[str]] = {}
        self.scripts: dict[str, str] = {}
        self.shared: dict[str, dict[str, str]] = {}
        self.editable: list[tuple[str, str]] = []
        self._labextensions: dict[str, str] = {}
        files: dict[str, list[str]] = {}
        seen: set[str] = set()
        for one in metadata.distributions():
            said = _headers(one.read_text("METADATA") or one.read_text("PKG-INFO") or "")
            name = (said.get("name") or [""])[0]
            if not name or _normal(name) in seen:
                continue  # the first on the path is the one that is imported
            seen.add(_normal(name))
            self._describe(one, name, said)
            files[name] = self._files(one, name)
        for top, owners in self.tops.items():
            if len(owners) > 1:
                self.shared[top] = {
                    path: name
                    for name in owners
                    for path in files[name]
                    if path.split("/", 1)[0] == top
                }

    def _describe(self, one: metadata.Distribution, name: str, said: dict[str, list[str]]) -> None:
        text = one.read_text("direct_url.json")
        direct = json.loads(text) if text else None
        self.described.append(
            {
                "name": name,
                "version": said.get("version", [""])[0],
                "requires": said.get("requires-dist", []),
                "direct_url": direct,
                "installer": (one.read_text("INSTALLER") or "").strip(),
                "changes": _changes(direct),
            }
        )
        if direct and direct.get("url", "").startswith("file:"):
            source = unquote(urlparse(direct["url"]).path)
            if direct.get("dir_info", {}).get("editable"):
                self.editable.append((os.path.realpath(source) + os.sep, name))

    def _files(self, one: metadata.Distribution, name: str) -> list[str]:
        text = one.read_text("RECORD")
        if text is None:  # conda's and Debian's own packages may have another list
            paths = [str(path) for path in (one.files or ())]
        else:
            paths = [line.rsplit(",", 2)[0].strip('"') for line in text.splitlines() if line]
        tops = set((one.read_text("top_level.txt") or "").split())
        for path in paths:
            first = path.split("/", 1)[0]
            if first == "..":
                parts = path.split("/")
                if len(parts) > 1 and parts[-2] in ("bin", "Scripts"):
                    self.scripts[parts[-1]] = name
                elif "labextensions" in parts:
                    self._note(parts[parts.index("labextensions") + 1 :], name)
            elif "/" in path:
                if not re.search(r"\.(dist|egg)-info$", first) and first != "__pycache__":
                    tops.add(first)
            elif path.endswith((".py", ".so", ".pyd")):
                tops.add(path.split(".", 1)[0])
        for top in tops:
            owners = self.tops.setdefault(top, [])
            if name not in owners:
                owners.append(name)
        return paths

    def _note(self, parts: list[str], name: str) -> None:
        extension = "/".join(parts[:2]) if parts[0].startswith("@") else parts[0]
        self._labextensions[extension] = name

    def labextensions(self) -> dict[str, str]:
        return self._labextensions

    def owner(self, module: str, file: str | None) -> str:
        """Return the distribution of a module, or nothing."""
        top = module.split(".", 1)[0]
        owners = self.tops.get(top, [])
        if file:
            real = _real(file)
            for source, name in self.editable:
                if real.startswith(source) and "site-packages" not in real[len(source) :]:
                    return name
        if len(owners) == 1:
            return owners[0]
        if not owners:
            return ""
        paths, parts = self.shared[top], module.split(".")
        for length in range(len(parts), 0, -1):
            base = "/".join(parts[:length])
            for path in (f"{base}.py", f"{base}/__init__.py"):
                if path in paths:
                    return paths[path]
        return ""


def _headers(text: str) -> dict[str, list[str]]:
    """Return what the head of a distribution's metadata says.

    The standard library's reader takes seconds for two hundred of them, with their long texts.
    """
    found: dict[str, list[str]] = {}
    for line in re.split(r"\r?\n\r?\n", text, maxsplit=1)[0].splitlines():
        key, colon, value = line.partition(":")
        if colon and line[0] not in " \t":
            found.setdefault(key.lower(), []).append(value.strip())
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _kind() -> str:
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        return "conda"
    return "venv" if sys.prefix != sys.base_prefix else "system"


def _markers() -> dict[str, str]:
    """Return the environment that markers of requirements are about, as packaging does."""
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": platform.python_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_release": "",  # this machine's own: nothing depends on it
        "platform_system": platform.system(),
        "platform_version": "",
        "python_full_version": platform.python_version(),
        "platform_python_implementation": platform.python_implementation(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def _changes(direct: dict[str, Any] | None) -> bool:
    """Whether what a distribution was installed from has changes that nobody has committed."""
    url = (direct or {}).get("url", "")
    if not url.startswith("file:"):
        return False
    source = unquote(urlparse(url).path)
    if not os.path.isdir(source):
        return False
    said = _said(["git", "-C", source, "status", "--porcelain", "--", "."])
    return bool(said and said.strip())


def _said(command: list[str], seconds: float = 10) -> str | None:
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace")


def conda(prefix: str) -> list[dict[str, Any]]:
    """Return the packages of a prefix, as conda has noted them; none of another environment."""
    records = []
    for path in sorted(Path(prefix, "conda-meta").glob("*.json")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        files = found.get("files", [])
        records.append(
            {
                "name": found["name"],
                "version": found["version"],
                "build": found.get("build", ""),
                "subdir": found.get("subdir", ""),
                "channel": found.get("channel", ""),
                "url": found.get("url", ""),
                "sha256": found.get("sha256", ""),
                "md5": found.get("md5", ""),
                "depends": found.get("depends", []),
                "requested": found.get("requested_specs") or _listed(found.get("requested_spec")),
                "metadata": sorted(
                    {match.group(1) for name in files for match in [METADATA.search(name)] if match}
                ),
                "programs": [
                    name.split("/")[-1] for name in files if re.match(r"bin/[^/]+$", name)
                ],
            }
        )
    return records


def _listed(one: Any) -> list[str]:
    return [one] if one and one != "None" else []


def _of_others(modules: dict[str, Any], imports: list[str]) -> dict[str, Any]:
    """Return the modules that are not loaded because of an export, where one has this process."""
    brought = modules.get("jupyter_scale.export.brought")
    if brought is None:
        return modules
    used = any(name.split(".", 1)[0] == "jupyter_scale" for name in imports)
    ours = brought.names(used=used)
    return {name: module for name, module in modules.items() if name not in ours}


def _loaded(
    modules: dict[str, Any],
    installed: _Installed,
    here: str,
) -> dict[str, Any]:
    loaded: dict[str, list[str]] = {}
    local: set[str] = set()
    elsewhere: dict[str, str] = {}
    for name, module in sorted(modules.items()):
        file = getattr(module, "__file__", None)
        top = name.split(".", 1)[0]
        if name.startswith(OURS) or top in BUILTINS or name == "__main__" or top[:2] == "__":
            continue
        if _standard(top, file):
            continue
        where, owner = _place(name, file, installed, here)
        if where == "local" and file:
            local.add(_real(file))
        elif owner:
            loaded.setdefault(owner, []).append(name)
        elif where == "elsewhere" and file and "." not in name and not _inside(file):
            elsewhere[name] = str(file)
    return {
        "loaded": {name: names[:5] for name, names in loaded.items()},
        "local": sorted(local),
        "elsewhere": elsewhere,
    }


def _place(
    name: str,
    file: str | None,
    installed: _Installed,
    here: str,
) -> tuple[str, str]:
    """Return whether a module is local, a distribution's or from elsewhere; and of which."""
    owner = installed.owner(name, file)
    if file and not _inside(file) and _real(file).startswith(here + os.sep):
        top = name.split(".", 1)[0]
        own = owner and (_normal(top) == _normal(owner) or owner in installed.tops.get(top, []))
        return ("distribution", owner) if own else ("local", "")
    return ("distribution", owner) if owner else ("elsewhere", "")


def _inside(file: str) -> bool:
    return bool({"site-packages", "dist-packages"} & set(Path(file).parts))


def _standard(top: str, file: str | None) -> bool:
    if top in sys.builtin_module_names or top in getattr(sys, "stdlib_module_names", ()):
        return True
    if not file:
        return False
    return _real(file).startswith(_stdlib() + os.sep) and not _inside(file)


@lru_cache(None)
def _stdlib() -> str:
    return os.path.realpath(sysconfig.get_paths()["stdlib"])


@lru_cache(None)
def _real(path: str) -> str:
    return os.path.realpath(path)


def _resolved(name: str, installed: _Installed, here: str) -> dict[str, str]:
    """Return what an import is: its kind, and the distribution or file."""
    top = name.split(".", 1)[0]
    known = sys.modules.get(top)
    file = getattr(known, "__file__", None)
    if known is None:
        beside = os.path.join(here, top)
        for path in (f"{beside}.py", os.path.join(beside, "__init__.py")):
            if os.path.isfile(path):
                file = path
        try:
            spec = None if file else util.find_spec(top)
        except (ImportError, ValueError, AttributeError):
            spec = None
        if spec is not None:
            file = spec.origin if spec.has_location else None
        if spec is None and not file:
            there = _standard(top, None) or bool(installed.tops.get(top))
            if not there:
                return {"kind": "local" if os.path.isdir(beside) else "missing"}
    if _standard(top, file):
        return {"kind": "standard"}
    where, owner = _place(name, file, installed, here)
    return {"kind": where, "distribution": owner, "file": file or ""}


def _program(name: str, installed: _Installed) -> dict[str, str]:
    path = shutil.which(name, path=os.path.join(sys.prefix, "bin") + os.pathsep + _path())
    if path is None:
        return {"path": ""}
    found = {"path": path, "package": ""}
    if os.path.dirname(path) == os.path.join(sys.prefix, "bin"):
        found["distribution"] = installed.scripts.get(name, "")
    else:
        found["package"] = (_packages([path, os.path.realpath(path)]) or [""])[0]
    return found


def _path() -> str:
    return os.environ.get("PATH", os.defpath)


def _packages(paths: list[str]) -> list[str]:
    """Return the Debian packages that files are of."""
    # /bin is /usr/bin now, but packages may have their files in either
    more = [path[4:] for path in paths if path.startswith("/usr/")]
    said = _said(["dpkg", "-S", *paths, *more]) if shutil.which("dpkg") else None
    packages = []
    for line in (said or "").splitlines():
        package = line.split(":", 1)[0].split(",")[0].strip()
        if package and not line.startswith("diversion") and package not in packages:
            packages.append(package)
    return packages


def _libraries() -> list[str]:
    """Return the Debian packages of the system's libraries that this process has loaded."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    paths = {line.split(None, 5)[-1] for line in maps.splitlines() if ".so" in line}
    system = [path for path in sorted(paths) if path.startswith(("/usr/lib/", "/lib/"))]
    outside = [path for path in system if not path.startswith(sys.base_prefix + "/lib/python")]
    return _packages(outside) if outside else []


def _indexes() -> list[dict[str, str]]:
    """Return where pip and uv are told to look, without names and passwords."""
    found = []
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX",
                     "UV_EXTRA_INDEX_URL", "UV_INDEX"):  # fmt: skip
        kind = "extra" if "EXTRA" in variable or variable == "UV_INDEX" else "index"
        for url in os.environ.get(variable, "").split():
            found.append({"kind": kind, "url": _plain(url.split("=", 1)[-1]), "from": variable})
    for path in _configurations():
        parser = configparser.RawConfigParser(strict=False)
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        for section in parser.sections():
            for key, kind in (("index-url", "index"), ("extra-index-url", "extra")):
                for url in parser.get(section, key, fallback="").split():
                    found.append({"kind": kind, "url": _plain(url), "from": "pip's configuration"})
    return [one for number, one in enumerate(found) if one not in found[:number]]


def _configurations() -> list[str]:
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = os.path.expanduser("~")
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    system = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return [
        *(os.path.join(one, "pip", "pip.conf") for one in system.split(os.pathsep)),
        "/etc/pip.conf",
        os.path.join(home, ".pip", "pip.conf"),
        os.path.join(config, "pip", "pip.conf"),
        os.path.join(sys.prefix, "pip.conf"),
        *([named] if named else []),
    ]


def _plain(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)
