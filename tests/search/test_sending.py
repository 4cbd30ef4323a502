"""Data on the workers: sent once a fit, mapped once a machine, gone with the fit."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster
from equality import assert_same_results
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from workers import two_workers

from jupyter_scale import merged
from jupyter_scale.search import internals, mapping, schedule, sending
from jupyter_scale.search.mapping import Elsewhere, Folder, Mapped

X, y = make_classification(n_samples=300, n_features=8, random_state=0)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where the files of this process go."""
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        yield tmp_path


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Treat small data as large ones."""
    monkeypatch.setattr(sending, "IN_GRAPH", 100)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How each piece of data was sent."""
    heard: list[str] = []

    def noted(name: str, method: Any) -> Any:
        def call(self: Any, value: Any, *args: Any, **options: Any) -> Any:
            heard.append(f"{name} {type(value).__name__}")
            return method(self, value, *args, **options)

        return call

    monkeypatch.setattr(Folder, "write", noted("file", Folder.write))
    monkeypatch.setattr(sending.Sent, "_scattered", noted("wire", sending.Sent._scattered))
    return heard


def strides(rows: int = 40, columns: int = 30) -> dict[str, Any]:
    base = np.random.default_rng(0).normal(size=(rows, columns))
    return {
        "C": base,
        "F": np.asfortranarray(base),
        "strided": base[::2, 1::3],
        "reversed": base[::-1],
        "integers": (base * 10).astype("i4"),
        "strings": base.astype("U8"),
        "structure": np.array([(1, 2.0)] * 99, dtype=[("a", "i4"), ("b", "f8")]),
        "objects": np.array([["a", 1], ["b", None]], dtype=object),
        "vector": base[:, 0].copy(),
        "empty": base[:0],
    }


@pytest.mark.parametrize("name", strides())
def test_arrays_keep_their_layout(name: str, monkeypatch: Any, folder: Path) -> None:
    monkeypatch.setattr(mapping, "_ASIDE", 16)
    value = strides()[name]
    files = Folder()
    read = pickle.loads(pickle.dumps(Mapped(files.write(value, 1)))).value
    assert type(read) is np.ndarray
    assert (read.dtype, read.shape) == (value.dtype, value.shape)
    assert read.strides == value.strides
    np.testing.assert_array_equal(read, value)
    if value.flags.forc and value.size and not value.dtype.hasobject:
        assert not read.flags.writeable
        assert read.ctypes.data % 64 == 0
    files.close()


def test_matrices_frames_and_lists(monkeypatch: Any, folder: Path) -> None:
    import pandas as pd

    monkeypatch.setattr(mapping, "_ASIDE", 16)
    files = Folder()
    matrix = sparse.random(50, 40, density=0.2, format="csr", random_state=0)
    read = Mapped(files.write(matrix, 1)).value
    assert (read != matrix).nnz == 0
    assert not read.data.flags.writeable
    frame = pd.DataFrame({"a": np.arange(50.0), "b": ["x", "y"] * 25, "c": range(50)})
    pd.testing.assert_frame_equal(Mapped(files.write(frame, 1)).value, frame)
    assert Mapped(files.write(["text"] * 9, 1)).value == ["text"] * 9
    files.close()


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_mapped_array_is_not_copied(mode: Any, tmp_path: Path, folder: Path) -> None:
    base = np.arange(60_000.0).reshape(200, 300)
    base.tofile(tmp_path / "mine")
    mine = np.memmap(tmp_path / "mine", mode=mode, shape=(199, 300), dtype=float, offset=2400)
    files = Folder()
    for part in (mine, mine[10:50], mine[:, ::2], np.asarray(mine)[::-1]):
        handle = files.write(part, 1)
        read = pickle.loads(pickle.dumps(Mapped(handle))).value
        np.testing.assert_array_equal(read, part)
        assert type(read) is np.ndarray or mode == "c"
        if mode != "c":
            assert Path(handle.path).stat().st_size < 2000
            assert read.strides == part.strides
    files.close()


def test_files_are_the_owners_only_and_go_with_the_folder(folder: Path) -> None:
    files = Folder()
    handle = files.write(np.ones(10_000), 80_000)
    assert files.path.parent == folder
    assert files.path.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in files.path.iterdir())
    files.close()
    assert not list(folder.iterdir())
    with pytest.raises(Elsewhere):
        _ = Mapped(handle).value
    with pytest.raises(OSError, match="no room"):
        Folder().write(X, 2**60)


def test_what_a_killed_process_left_is_removed_by_the_next(folder: Path) -> None:
    code = (
        "import sys, dask, numpy\n"
        "dask.config.set({'temporary-directory': sys.argv[1]})\n"
        "from jupyter_scale.search.mapping import Folder\n"
        "folder = Folder()\n"
        "folder.write(numpy.ones(10), 80)\n"
        "print(folder.path, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            left = Path(process.stdout.readline().strip())
            living = Folder()
            assert left.exists(), "its process lives"
            process.kill()
            process.wait()
            assert left.exists()
            following = Folder()
            assert not left.exists()
            assert living.path.exists()
            living.close()
            following.close()
        finally:
            process.kill()


def test_each_object_is_sent_once_a_fit(
    client: Client, tiny: None, calls: list[str], folder: Path
) -> None:
    def search() -> HalvingGridSearchCV:
        return HalvingGridSearchCV(
            LogisticRegression(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=3, random_state=0
        )

    # over 10 kB, what is sent with the bundle
    weights = np.repeat(np.linspace(0.5, 1.5, 300), 10)
    data, target = np.repeat(X, 10, axis=0), np.repeat(y, 10)
    plain = search().fit(data, target, sample_weight=weights)
    ours = search()
    with merged(client):
        ours.fit(data, target, sample_weight=weights)
        assert sorted(call for call in calls if "Bundle" not in call) == [
            "file bytes",  # the estimator of the refit
            "file ndarray",
            "file ndarray",
            "file ndarray",
        ]
        assert not list(folder.iterdir()), "gone with the fit"
        data[:, 0] *= 2
        again = search().fit(data, target, sample_weight=weights)
    assert_same_results(ours, plain)
    assert ours.n_iterations_ > 1
    assert_same_results(again, search().fit(data, target, sample_weight=weights))


def test_where_files_are_not_seen_data_travel(
    client: Client, tiny: None, calls: list[str], monkeypatch: Any, folder: Path
) -> None:
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3)
    monkeypatch.setattr(sending.Sent, "_readable", lambda self, folder: False)
    with merged(client):
        ours = search.fit(X, y)
    assert all(call.startswith("wire") for call in calls)
    assert not list(folder.iterdir())
    assert_same_results(ours, GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3).fit(X, y))


def test_a_late_worker_on_another_machine_is_sent_the_data(
    client: Client, tiny: None, calls: list[str], monkeypatch: Any, folder: Path
) -> None:
    written = Folder.write

    def wrong(self: Folder, value: Any, size: int) -> Any:
        handle = written(self, value, size)
        Path(handle.path).unlink()
        return handle

    monkeypatch.setattr(Folder, "write", wrong)
    with merged(client):
        ours = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3).fit(X, y)
    assert "wire ndarray" in calls
    assert_same_results(ours, GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3).fit(X, y))


def test_threads_of_this_process_share_as_they_are(tiny: None, calls: list[str]) -> None:
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address="127.0.0.1:0"
        ) as cluster,
        Client(cluster) as threads,
        merged(threads),
    ):
        GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=3).fit(X, y)
    assert calls
    assert all(call.startswith("wire") for call in calls)


class Memory(ClassifierMixin, BaseEstimator):
    """Reads a column of X, and tells how much memory is this process's own."""

    def __init__(self, nothing: int = 0) -> None:
        self.nothing = nothing

    def fit(self, X: Any, y: Any) -> Memory:
        self.classes_ = np.unique(y)
        return self

    def predict(self, X: Any) -> Any:
        return np.zeros(len(X))

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return float(private_megabytes())


def private_megabytes() -> int:
    """Memory that no other process shares, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    sizes = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return (sizes["Private_Dirty:"] + sizes["Private_Clean:"]) // 1024


def mapped_megabytes() -> int:
    """Bytes of our files that this process has mapped."""
    total = 0
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "jupyter-scale-data-" in line:
            start, stop = line.split()[0].split("-")
            total += int(stop, 16) - int(start, 16)
    return total // 2**20


cuts: Counter[tuple[int, bool]] = Counter()
patch = pytest.MonkeyPatch()  # of a worker


def count_cuts() -> None:
    """Have a worker count how often it cuts the same rows."""
    real = internals.safe_split

    def counted(
        estimator: Any, X: Any, y: Any, indices: Any, train_indices: Any = None
    ) -> tuple[Any, Any]:
        cuts[int(indices.sum()), train_indices is None] += 1
        return real(estimator, X, y, indices, train_indices)

    cuts.clear()
    patch.setattr(internals, "safe_split", counted)


def counted_cuts() -> dict[tuple[int, bool], int]:
    patch.undo()
    return dict(cuts)


def test_a_worker_cuts_each_fold_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though it is asked for all folds in turn: each cell is a task here."""
    for name in ("SHORTEST", "LONGEST", "PER_THREAD"):
        monkeypatch.setattr(schedule, name, 0.0)
    grid = {"C": np.logspace(-3, 1, 12)}
    plain = GridSearchCV(LogisticRegression(), grid, cv=5, refit=False).fit(X, y)
    client.run(count_cuts)
    with merged(client):
        ours = GridSearchCV(LogisticRegression(), grid, cv=5, refit=False).fit(X, y)
    found = client.run(counted_cuts)
    assert_same_results(ours, plain)
    assert sum(map(len, found.values())) >= 10  # five folds, their training and test rows
    for worker in found.values():
        assert set(worker.values()) == {1}


class Whole(Memory):
    """Has a look at all the data that its process holds."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        return float(1000 * mapped_megabytes() + private_megabytes())


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="Linux tells")
def test_two_processes_hold_one_copy() -> None:
    data = np.ones((20_000, 1_000))  # 152 MiB
    folds = [(np.arange(50), np.arange(50, 100))] * 2
    with two_workers() as client:
        with merged(client):  # what a first search loads
            GridSearchCV(Whole(), {"nothing": range(4)}, cv=folds, refit=False).fit(X, y)
        before = max(client.run(private_megabytes).values())
        with merged(client):
            search = GridSearchCV(Whole(), {"nothing": range(40)}, cv=folds, refit=False)
            search.fit(data, np.arange(20_000) % 2)
    found = np.concatenate([search.cv_results_[f"split{k}_test_score"] for k in range(2)])
    mapped, private = found // 1000, found % 1000
    assert mapped.min() >= 150
    assert private.max() < before + 60, "less than half of the data"
