"""Build the image that repo2docker renders of an exported folder, and run its notebook inside.

    make test-image
    make test-image ARGS="--base /var/tmp/bookworm"

For a machine without docker: buildah builds in a chroot, on a base that debootstrap makes of
Debian's packages. It runs as root, takes some minutes and 4 GB, and is started by hand. Two things
are not as on Binder, and nothing else is changed in what repo2docker hands over: the base image is
Debian's instead of Ubuntu's, and its packages come from PyPI at the versions of conda's lock.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import folders
import nbformat

from jupyter_scale.export import buildpack
from jupyter_scale.export.compare import compare
from jupyter_scale.export.image import Engine, build, context, executed

NEEDED = ("buildah", "debootstrap")
SUITE = "bookworm"  # with Python 3.11
BASE, IMAGE = "localhost/scale-base", "localhost/scale-image"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
TRUSTED = "/etc/ssl/trusted-here.pem"  # where no package writes
NOTES = Path("/var/lib/containers/cache")
SERVER = ("jupyterlab", "notebook", "ipykernel", "ipywidgets", "nbconvert")
SCRIPT = """\
#!/bin/bash
# in place of repo2docker's own, which needs conda's channels
set -ex
apt-get -qq update
apt-get -qq install --yes --no-install-recommends python3-venv > /dev/null
python3 -m venv "${NB_PYTHON_PREFIX}"
cat > /tmp/base.txt <<'PINS'
%s
PINS
"${NB_PYTHON_PREFIX}/bin/pip" install --no-cache-dir -c /tmp/base.txt %s
chown -R "${NB_USER}:${NB_USER}" "${CONDA_DIR}"
# what activate-conda.sh asks for a function of the shell; Debian's /etc/profile sets PATH anew
mkdir -p "${CONDA_DIR}/bin"
cat > "${CONDA_DIR}/bin/mamba" <<'MAMBA'
#!/bin/sh
echo 'mamba() { export PATH="$2/bin:$PATH"; }'
MAMBA
chmod 0755 "${CONDA_DIR}/bin/mamba"
cp "${CONDA_DIR}/bin/mamba" /usr/local/bin/micromamba
"""
CELL = (
    "import six, helper, shutil\nprint(six.__version__, helper.ANSWER, bool(shutil.which('dot')))"
)


def main(argv: list[str] | None = None) -> int:
    """Build and run; return 0 when the outputs are equal."""
    options = _parser().parse_args(argv)
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        print(f"{' and '.join(missing)} is not here: apt-get install {' '.join(missing)}")
        return 2
    if os.geteuid() != 0:
        print("A chroot is made by root only: sudo make test-image")
        return 2
    os.environ |= {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
    begun = time.monotonic()
    with _unnoted(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        storage = options.storage or Path(home, "storage")
        os.environ["CONTAINERS_STORAGE_CONF"] = str(_storage(Path(home), storage))
        folder = options.folder or _folder(Path(home, "folder"))
        with _step("the base image"):
            _base(options.base or Path(home, "base"), options.mirror)
        with _step("the image that repo2docker renders"):
            _image(folder, Path(home, "context"))
        names = sorted(path.name for path in folder.glob("*.ipynb"))
        maker = Engine("buildah", str(shutil.which("buildah")))
        wrong = 0
        for name in names:
            with _step(f"{name} in the image"):
                found = executed(maker, IMAGE, name)
            compared = compare(nbformat.read(folder / name, as_version=4), found)
            print(f"{name}: {'; '.join(compared.lines)}")
            wrong += bool(compared.differences) or not compared.equal
    print(f"{time.monotonic() - begun:.0f} s in all")
    return 1 if wrong else 0


def _folder(folder: Path) -> Path:
    start = '#!/bin/bash\nset -euo pipefail\nexport STARTED=1\nexec "$@"\n'
    files = {
        "helper.py": "ANSWER = 42\n",
        "binder/apt.txt": "graphviz\n",
        "binder/start": start,
        "binder/postBuild": "#!/bin/bash\nset -euo pipefail\necho built > built.txt\n",
    }
    return folders.write(
        folder,
        folders.cell(CELL, "1.17.0 42 True\n"),
        folders.cell("print(open('built.txt').read(), end='')", "built\n"),
        folders.cell("import os; os.environ['STARTED'], os.environ['USER']",
                     folders.value("('1', 'jovyan')")),
        files=files,
    )  # fmt: skip


def _storage(home: Path, storage: Path) -> Path:
    """Have buildah keep all that it makes in a folder of its own."""
    path = home / "storage.conf"
    path.write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{storage}/graph"\nrunroot = "{storage}/run"\n'
    )
    return path


def _base(root: Path, mirror: str) -> None:
    if not (root / "etc/debian_version").exists():
        _run("debootstrap", "--variant=minbase", SUITE, str(root), *([mirror] if mirror else []))
    container = _run("buildah", "from", "scratch").strip()
    _run("buildah", "copy", "--quiet", container, str(root), "/")
    if CERTIFICATES.exists():  # of a proxy that this machine may be behind
        _run("buildah", "copy", "--quiet", container, str(CERTIFICATES), TRUSTED)
        _run("buildah", "config", "--env", f"PIP_CERT={TRUSTED}", container)
    _run("buildah", "commit", "--quiet", "--rm", container, BASE)


def _image(folder: Path, target: Path) -> None:
    judged = context(folder, target)
    dockerfile = target / "Dockerfile"
    first, _, rest = dockerfile.read_text(encoding="utf-8").lstrip().partition("\n")
    assert first.startswith("FROM "), first
    dockerfile.write_text(f"FROM {BASE}\n{rest}", encoding="utf-8")
    (script,) = (target / "build_script_files").glob("*install-2dbase-2denv*")
    pins = "\n".join(f"{name}=={one}" for name, one in buildpack.base(judged.python).items())
    script.write_text(SCRIPT % (pins, " ".join(SERVER)), encoding="utf-8")
    script.chmod(0o755)
    build(Engine("buildah", str(shutil.which("buildah"))), target, IMAGE)


@contextmanager
def _unnoted() -> Iterator[None]:
    """Remove what buildah notes of layers outside of its storage, unless it was there before."""
    made = next((path for path in (*reversed(NOTES.parents), NOTES) if not path.exists()), None)
    try:
        yield
    finally:
        if made is not None:
            shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _step(name: str) -> Iterator[None]:
    print(f"{name} ...", flush=True)
    begun = time.monotonic()
    yield
    print(f"{name}: {time.monotonic() - begun:.0f} s", flush=True)


def _run(*words: str) -> str:
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:2])} failed:\n{(done.stderr or done.stdout)[-2000:]}")
    return done.stdout


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Build an image without docker and run a notebook in it.",
        epilog='examples:\n  make test-image\n  make test-image ARGS="--folder ../exported"',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--folder", type=Path, help="an exported folder of Python 3.11 (default: a small one)")
    add("--base", type=Path, help="where debootstrap's tree is or shall be kept")
    add("--mirror", default="", help="of Debian's packages, for debootstrap")
    add("--storage", type=Path, help="where buildah keeps its images (default: gone at the end)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
