"""Where a run took place; and no secret."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from jupyter_scale.runs import provenance

TOKEN = "0123456789abcdef0123456789abcdef"
SECRETS = (
    f"open('http://host:8888/lab?token={TOKEN}')",
    f"client = Client('tls://me:{TOKEN}@host')",
    "key = 'AKIA" + "A" * 16 + "'",
    f"github = 'ghp_{TOKEN}'",
    f'api_key = "{TOKEN}"',
    f"login(password='{TOKEN}')",
    f'{{"secret_token": "{TOKEN}"}}',
    f"-----BEGIN PRIVATE KEY-----\n{TOKEN}\n-----END PRIVATE KEY-----",
)


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_hidden(text: str) -> None:
    hidden = provenance.redacted(f"before = 1\n{text}\nafter = 2")
    assert TOKEN not in hidden
    assert "AKIA" not in hidden
    assert provenance.HIDDEN in hidden
    assert hidden.startswith("before = 1\n")
    assert hidden.endswith("\nafter = 2")


@pytest.mark.parametrize(
    "text",
    [
        "search.fit(X, y)",
        "token_pattern=r'(?u)\\b\\w\\w+\\b'"[:14],
        "CountVectorizer(tokenizer=None)",
        "https://host/path",
    ],
)
def test_what_is_none_is_left(text: str) -> None:
    assert provenance.redacted(text) == text


def test_an_environment_is_its_packages_and_few_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_PASSWORD", TOKEN)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    text = provenance.text_of(provenance.environment())
    assert TOKEN not in text
    assert "OMP_NUM_THREADS=3" in text
    assert any(line.startswith("scikit-learn==") for line in text.splitlines())
    assert provenance.digest(text) == provenance.digest(
        provenance.text_of(provenance.environment())
    )


def test_a_repository_is_its_commit_and_what_was_changed(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        done = subprocess.run(
            ["git", *identity, *words], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    assert provenance.repository(tmp_path) == ("", "")
    git("init", "-q")
    (tmp_path / "a.py").write_text("a = 1\n")
    git("add", "a.py")
    git("commit", "-q", "-m", "first")
    assert provenance.repository(tmp_path) == (git("rev-parse", "HEAD"), "")
    (tmp_path / "a.py").write_text(f"a = 2\npassword = '{TOKEN}'\n")
    (tmp_path / "b.py").write_text(TOKEN)
    commit, changes = provenance.repository(tmp_path)
    assert commit == git("rev-parse", "HEAD")
    assert "+a = 2" in changes
    assert "new, not added: b.py" in changes
    assert TOKEN not in changes
