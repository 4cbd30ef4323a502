"""Secrets in what would be published: in source, outputs, metadata and any other text.

detect-secrets knows the forms of keys and passwords; added are what it misses and notebooks have:
a Jupyter server's token, a login in an address, paths that name a person's home, and any value of
the ``.env`` file beside the notebook. A finding never quotes the secret.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_scale.export.finding import BLOCKER, Finding, needed
from jupyter_scale.export.notebook import Notebook

__all__ = ["SAFE_HOMES", "private", "scan", "texts"]

PLUGINS = (
    "ArtifactoryDetector", "AWSKeyDetector", "AzureStorageKeyDetector", "BasicAuthDetector",
    "CloudantDetector", "DiscordBotTokenDetector", "GitHubTokenDetector", "GitLabTokenDetector",
    "IbmCloudIamDetector", "IbmCosHmacDetector", "JwtTokenDetector", "MailchimpDetector",
    "NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector", "SendGridDetector",
    "SlackDetector", "SoftlayerDetector", "SquareOAuthDetector", "StripeDetector",
    "TelegramBotTokenDetector", "TwilioKeyDetector",
)  # fmt: skip
"""Those of a form of their own: entropy alone takes hashes and pictures for secrets."""
TOKEN = re.compile(r"[?&](?:token|access_token)=(?P<secret>[0-9a-zA-Z_-]{16,})")
HEADER = re.compile(
    r"(?i)authorization['\"]?\s*[:=,]\s*['\"]?(?:token|bearer)\s+(?P<secret>[\w.-]{16,})"
)
LOGIN = re.compile(r"\w+://[^\s/@:'\"<>]+:(?P<secret>[^\s/@'\"<>{}$]+)@[\w.-]+")
WORD = re.compile(
    r"(?i)\b\w*(?:password|passwd|secret|token|api_?key|private_?key)\w*['\"]?\s*[:=]\s*"
    r"(?P<quote>['\"])(?P<secret>[^'\"\s{}<>]{6,})(?P=quote)"
)
HOME = re.compile(
    r"(?<![\w.-])(?P<secret>(?:/home/|/Users/|[A-Za-z]:\\{1,2}Users\\{1,2})(?P<who>[A-Za-z0-9._-]+))"
)
SAFE_HOMES = frozenset({"jovyan", "user", "username", "you", "USERNAME", "Shared", "Public", "me"})
NO_SECRET = frozenset(
    {"password", "secret", "changeme", "example", "token", "placeholder", "dummy", "xxxxxx"}
)
TEXTUAL = re.compile(r"text/|application/(?:json|javascript|xml|.*\+json|.*\+xml)|image/svg")
LONGEST = 4000  # characters of a line that are looked at together
OVERLAP = 200
REMEDY = "remove it here and in the outputs, and make it invalid where it came from"
KEPT_LOCAL = "write a path relative to the notebook, and run the cell again"


def texts(notebook: Notebook, *, exported: bool = True) -> Iterator[tuple[str, str]]:
    """Yield the texts of a notebook, with their places.

    Parameters
    ----------
    notebook : Notebook
    exported : bool
        Also what its exports have said, which is published where the notebook stays as it is.
    """
    numbers = iter(notebook.cells)
    for number, cell in enumerate(notebook.content["cells"], 1):
        read = next(numbers) if cell["cell_type"] == "code" else None
        where = f"text cell {number}" if read is None else read.where
        yield where, "".join(cell["source"])
        yield f"metadata of {where}", json.dumps(cell["metadata"])
        if exported or read is None or not read.exports:
            for output in cell.get("outputs", ()):
                for text in _shown(output):
                    yield f"output of {where}", text
    metadata = {key: value for key, value in notebook.content["metadata"].items()
                if key != "kernelspec"}  # fmt: skip
    yield "metadata", json.dumps(metadata)


def _shown(output: Mapping[str, Any]) -> Iterator[str]:
    if output["output_type"] == "stream":
        yield "".join(output["text"])
    elif output["output_type"] == "error":
        yield "\n".join([output["ename"], output["evalue"], *output["traceback"]])
    for kind, data in output.get("data", {}).items():
        if TEXTUAL.match(kind):
            yield "".join(data) if isinstance(data, str | list) else json.dumps(data)


def private(folder: Path) -> dict[str, str]:
    """Return the values of the .env files beside a notebook that are long enough to be told."""
    found = {}
    for path in sorted(folder.glob(".env*")):
        if not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, equals, value = line.strip().removeprefix("export ").partition("=")
            value = value.strip().strip("'\"")
            if equals and len(value) >= 8 and not name.startswith("#"):
                found[value] = f"{name.strip()} of {path.name}"
    return found


def scan(
    places: Iterable[tuple[str, str]], *, values: Mapping[str, str] | None = None, home: str = ""
) -> tuple[Finding, ...]:
    """Look for secrets.

    Parameters
    ----------
    places : iterable of (str, str)
        Texts, each after its place.
    values : mapping of str to str, optional
        What must not be in them, and what that is.
    home : str, optional
        This user's home directory.

    Raises
    ------
    ExportError
        When detect-secrets is not installed.
    """
    settings = needed("detect_secrets.settings")
    lines = needed("detect_secrets.core.scan")
    found: dict[str, Finding] = {}
    plugins = {"plugins_used": [{"name": name} for name in PLUGINS]}
    with settings.transient_settings(plugins):
        for where, text in places:
            for line in dict.fromkeys(_lines(text)):
                for secret in lines.scan_line(line):
                    if str(secret.secret_value) not in NO_SECRET:
                        _add(found, "secret", where, f"{secret.type}", str(secret.secret_value))
                for kind, what, value in _own(line, values or {}, home):
                    _add(found, kind, where, what, value)
    return tuple(found.values())


def _own(line: str, values: Mapping[str, str], home: str) -> Iterator[tuple[str, str, str]]:
    for match in (*TOKEN.finditer(line), *HEADER.finditer(line)):
        yield "secret", "a server's token", match["secret"]
    for match in LOGIN.finditer(line):
        yield "secret", "a login in an address", match["secret"]
    for match in WORD.finditer(line):
        if match["secret"].lower().strip("*.") not in ("", *NO_SECRET):
            yield "secret", "a password or key", match["secret"]
    for value, name in values.items():
        if value in line:
            yield "secret", f"the value of {name}", value
    for match in HOME.finditer(line):
        if match["who"] not in SAFE_HOMES:
            yield "home-path", "a path that names a user", match["secret"]
    if len(home) > 1 and not HOME.match(home) and re.search(rf"{re.escape(home)}(?![\w-])", line):
        yield "home-path", "the path of a home directory", home


def _add(found: dict[str, Finding], kind: str, where: str, what: str, secret: str) -> None:
    digest = hashlib.sha256(secret.encode()).hexdigest()[:8]
    identifier = f"{kind}:{where.replace(' ', '-')}:{digest}"
    found.setdefault(
        identifier,
        Finding(
            identifier,
            BLOCKER,
            where,
            f"{what}" if kind == "home-path" else f"a secret: {what}",
            KEPT_LOCAL if kind == "home-path" else REMEDY,
            "it may be published" if kind == "home-path" else "it is no secret",
        ),
    )


def _lines(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if len(line) <= LONGEST:
            yield line
            continue
        for start in range(0, len(line), LONGEST - OVERLAP):
            yield line[start : start + LONGEST]
