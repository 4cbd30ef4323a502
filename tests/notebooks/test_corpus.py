"""The tour's corpus: real text on every machine, and never a hanging download."""

from __future__ import annotations

import codecs
import pickle
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import corpus
import pytest
from sklearn.utils import Bunch


@pytest.fixture
def no_newsgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set up a machine that has no data set and whose network answers nothing."""
    monkeypatch.delenv("JUPYTER_SCALE_CORPUS", raising=False)
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path / "none"))

    def refuse(*args: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.long
def test_docstrings_are_enough_text_for_a_search():
    documents, labels, description = corpus.load(source="docstrings")
    per_label = Counter(labels)
    assert len(documents) == len(labels) >= 2000
    assert set(per_label) == set(corpus.PACKAGES)
    assert min(per_label.values()) >= 200  # the smallest package
    lengths = [len(document.split()) for document in documents]
    assert min(lengths) >= corpus.MIN_WORDS
    assert max(lengths) <= corpus.MAX_WORDS
    assert len(set(documents)) > 0.95 * len(documents)
    assert (
        description == f"{len(documents):,} documents, 8 labels: docstrings of installed packages"
    )


def test_the_order_is_fixed_and_fewer_documents_are_a_prefix():
    chosen = ["numpy", "dask"]
    more, _, _ = corpus.load(30, chosen, source="docstrings")
    again, _, _ = corpus.load(30, chosen, source="docstrings")
    fewer, labels, _ = corpus.load(10, chosen, source="docstrings")
    assert again == more
    assert fewer == more[:10] + more[30:40]
    assert labels == ["numpy"] * 10 + ["dask"] * 10


@pytest.mark.long
def test_two_labels_are_enough_text_too():
    documents, labels, _ = corpus.load(1000, 2, source="docstrings")
    assert Counter(labels) == dict.fromkeys(corpus.PACKAGES[:2], 1000)
    assert sum(len(document.split()) for document in documents) / len(documents) > 150


def test_packages_are_read_not_imported():
    code = (
        "import sys, corpus\n"
        "corpus.load(5, source='docstrings')\n"
        "imported = {name.partition('.')[0] for name in sys.modules}\n"
        "print(sorted(imported.intersection(corpus.PACKAGES)))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(corpus.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "[]\n"


def test_doctests_do_not_give_the_label_away():
    assert corpus._prose("Sort.\n\n>>> import numpy\n    ... more\nEnd.") == "Sort.\n\nEnd."
    documents, _, _ = corpus.load(50, ["numpy"], source="docstrings")
    assert not [document for document in documents if ">>>" in document]


@pytest.mark.usefixtures("no_newsgroups")
def test_without_a_network_it_falls_back_and_says_so():
    documents, labels, description = corpus.load(5)
    assert len(documents) == 40
    assert set(labels) == set(corpus.PACKAGES)
    assert "20 newsgroups cannot be had here" in description
    assert "Name or service not known" in description
    assert "\n" not in description


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    monkeypatch.setattr(corpus, "_ANSWER_WITHIN", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: found)
        _, labels, description = corpus.load(2, source="auto")
    assert set(labels) == set(corpus.PACKAGES)
    assert "timed out" in description
    assert socket.getdefaulttimeout() is None


@pytest.mark.usefixtures("no_newsgroups")
def test_newsgroups_asked_for_by_name_are_not_replaced():
    with pytest.raises(OSError, match="Name or service not known"):
        corpus.load(5, source="newsgroups")
    with pytest.raises(OSError, match="Name or service not known"):
        corpus.load(5, ["sci.med", "sci.space"])


def test_newsgroups_at_hand_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # scikit-learn's own cache file, of two groups: long enough posts are kept, and cut.
    long, short = ("From: a person\n\n" + "word " * n for n in (400, 20))
    posts = Bunch(
        data=[long, short, long],
        target=[0, 1, 1],
        target_names=["sci.med", "sci.space"],
        filenames=["a", "b", "c"],
    )
    nothing = Bunch(data=[], target=[], target_names=posts.target_names, filenames=[])
    cache = pickle.dumps({"train": posts, "test": nothing})
    (tmp_path / "20news-bydate_py3.pkz").write_bytes(codecs.encode(cache, "zlib_codec"))
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))

    documents, labels, description = corpus.load(10, ["sci.space", "sci.med"], source="auto")

    assert labels == ["sci.space", "sci.med"]
    assert [len(document.split()) for document in documents] == [300, 300]
    assert description == "2 documents, 2 labels: 20 newsgroups, without headers and quotes"


def test_the_environment_names_the_source(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JUPYTER_SCALE_CORPUS", "docstrings")
    _, _, description = corpus.load(2)
    assert description.endswith("docstrings of installed packages")
    monkeypatch.setenv("JUPYTER_SCALE_CORPUS", "novels")
    with pytest.raises(ValueError, match="source 'novels': use 'auto'"):
        corpus.load(2)


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(ValueError, match="no installed package 'fortran'"):
        corpus.load(2, ["numpy", "fortran"], source="docstrings")
