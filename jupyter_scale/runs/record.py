"""Keeps the searches of a cell: what the engine tells goes to the file, in a thread of its own.

The search never waits for the file. Rows are written together, once a second, so that a kernel
that is killed loses no more than that; each batch is one transaction. What goes wrong with the file
is told once and costs the record, not the search.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from dask.utils import format_bytes
from distributed import Client

from jupyter_scale.clusters.connection import Process
from jupyter_scale.runs import provenance
from jupyter_scale.runs.place import PREDICTIONS, RecordError
from jupyter_scale.runs.run import Cell, Run
from jupyter_scale.runs.scores import decoded, encoded
from jupyter_scale.runs.store import Store
from jupyter_scale.search.plan import Plan
from jupyter_scale.search.report import Score, SearchReport

__all__ = ["Origin", "Record"]

INTERVAL = 1.0  # seconds between two writings
HEARTBEAT = 10.0  # seconds between two signs of life
LONGEST = 2_000  # characters of a parameter
RANKING = 5.0  # seconds between two looks at which is the best, at least
_NUMBERS = (int, float, np.integer, np.floating, np.bool_, type(None))
AT_END = 60.0  # seconds for the last rows


class Origin:
    """Where the searches of a cell come from.

    Parameters
    ----------
    cell, cell_id, notebook : str
        The source of the cell, its id, the path of the notebook.
    options : mapping
        Those of ``%%scale``.
    cluster : str
        Its id.
    """

    def __init__(
        self,
        cell: str = "",
        *,
        cell_id: str = "",
        notebook: str = "",
        options: Mapping[str, Any] | None = None,
        cluster: str = "",
    ) -> None:
        self.cell = provenance.redacted(cell)
        self.cell_id, self.notebook, self.cluster = cell_id, notebook, cluster
        self.options = dict(options or {})


class Record:
    """A `jupyter_scale.search.report.Record` in a file.

    Parameters
    ----------
    store : Store
    origin : Origin
    client : distributed.Client, optional
        Whose workers' packages and number are noted.
    fresh : bool
        Know nothing of earlier runs.
    resumed : Run, optional
        Of which also those cells are known that draw without a seed.
    room : int
        How many bytes of what cells predict are kept of each run, see
        `jupyter_scale.search.predictions`.
    """

    def __init__(
        self,
        store: Store,
        origin: Origin | None = None,
        client: Client | None = None,
        *,
        fresh: bool = False,
        resumed: Run | None = None,
        room: int = 0,
    ) -> None:
        self.runs: list[Run] = []
        self.path = store.path
        self._store = store
        self._origin = origin or Origin()
        self._client = client
        self._fresh = fresh
        self._resumed = resumed
        self._room = room
        self._writers: dict[int, _Writer] = {}
        self._lock = threading.Lock()  # a cell may search in threads

    def known(self, address: bytes, seeded: bool) -> dict[str, Any] | None:
        """Return the result of a cell that was finished before."""
        if self._fresh or not (seeded or self._resumed):
            return None
        run = None if seeded or self._resumed is None else self._resumed.id
        with self._lock:
            text = self._store.known(address, run)
        return None if text is None else decoded(text)

    def predictions(self) -> tuple[bool, bool]:
        """Tell whether predictions are to be kept, and whether some are."""
        with self._lock:
            return self._room > 0, not self._fresh and self._store.predicts

    def predicted(self, address: bytes) -> bytes | None:
        """Return what is kept at the address of what a cell predicts."""
        with self._lock:
            return self._store.predicted(address)

    def keep(self, report: SearchReport, address: bytes, body: bytes) -> None:
        """Take what a cell has predicted, while there is room."""
        self._writers[id(report)].keep(address, body)

    def planned(self, plan: Plan, report: SearchReport) -> None:
        """Begin a run, or go on with it: successive halving plans several times."""
        if id(report) not in self._writers:
            origin = self._origin
            run = Run(
                uuid4().hex[:8],
                Process.this(),
                report.started,
                notebook=origin.notebook,
                cell=origin.cell,
                cell_id=origin.cell_id,
                options=origin.options,
                cluster=origin.cluster,
            )
            self.runs.append(run)
            report.run = run.id
            self._writers[id(report)] = _Writer(self.path, run, report, self._client, self._room)
        self._writers[id(report)].plan(plan)

    def cell(
        self, report: SearchReport, score: Score, address: bytes | None, result: dict[str, Any]
    ) -> None:
        """Take a finished cell."""
        self._writers[id(report)].cell(score, address, result)

    def done(self, cells: int, fits: int) -> None:
        """Say what has gone wrong with the file."""
        for writer in list(self._writers.values()):
            writer.check()

    def refitting(self, report: SearchReport) -> None:
        """Note that it is not over yet."""
        self._writers[id(report)].wake()

    def finished(self, report: SearchReport) -> None:
        """Write what is left, and wait for that."""
        self._writers[id(report)].finish()

    def close(self) -> None:
        """Leave the file; whatever is under way is written."""
        for writer in self._writers.values():
            writer.close()
        self._store.close()


class _Writer:
    """The thread that writes one run."""

    def __init__(
        self, path: Path, run: Run, report: SearchReport, client: Client | None, room: int
    ) -> None:
        self._path, self._run, self._report, self._client = path, run, report, client
        self._changed = threading.Condition()
        self._cells: deque[tuple[Score, bytes | None, dict[str, Any]]] = deque()  # needs no lock
        self._predicted: dict[bytes, bytes] = {}
        self._room = self._left = room
        self._seen: set[int] = set()
        self._asked = self._answered = 0
        self._ended = False
        self._failure: Exception | None = None
        self._looked, self._took = 0.0, 0.0
        self._thread = threading.Thread(target=self._work, name="scale-record", daemon=True)
        self._thread.start()

    def plan(self, plan: Plan) -> None:
        """Note what a plan says of the data."""
        self._run.data = plan.data_digest.hex()
        self.check()

    def cell(self, score: Score, address: bytes | None, result: dict[str, Any]) -> None:
        """Take a finished cell."""
        self.check()
        self._cells.append((score, address, result))

    def keep(self, address: bytes, body: bytes) -> None:
        """Take what a cell has predicted; say once that there is no more room."""
        if self._left < 0:
            return
        self._left -= len(body)
        if self._left >= 0:
            with self._changed:
                self._predicted[address] = body
        else:
            warnings.warn(
                f"predictions of {self._run.id} are kept up to {format_bytes(self._room)}, and "
                f"those of further cells are not: set {PREDICTIONS} to a larger size",
                stacklevel=2,
            )

    def check(self) -> None:
        """Raise what the thread has met.

        Raises
        ------
        RecordError
        """
        if self._failure is not None:
            raise RecordError(str(self._failure)) from self._failure

    def wake(self) -> int:
        """Have it write now; return the number of this wish."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            return self._asked

    def finish(self) -> None:
        """Wait until all that is known so far is written."""
        wish = self.wake()
        with self._changed:
            self._changed.wait_for(
                lambda: self._answered >= wish or not self._thread.is_alive(), AT_END
            )
        self.check()

    def close(self) -> None:
        """End the thread."""
        self._ended = True
        self.wake()
        self._thread.join(AT_END)

    def _work(self) -> None:
        try:
            with Store(self._path) as store:
                self._write(store)
        except Exception as error:
            self._failure = error
        finally:
            with self._changed:
                self._answered = self._asked
                self._changed.notify_all()

    def _write(self, store: Store) -> None:
        self._look()
        number = store.begin(self._run)
        written = time.monotonic()
        while True:
            with self._changed:
                ended, asked = self._ended, self._asked
                cells = [self._cells.popleft() for _ in range(len(self._cells))]
                predicted, self._predicted = self._predicted, {}
            self._look()
            wished = asked > self._answered
            if cells or predicted or wished or time.monotonic() - written > HEARTBEAT:
                rows = [self._row(*cell) for cell in cells]
                candidates = self._new(cells)
                store.add(number, self._run, rows, candidates, predictions=predicted)
                written = time.monotonic()
            with self._changed:
                self._answered = asked
                self._changed.notify_all()
            if not self._run.environment and (ended or not wished):  # nobody waits for that
                store.add(number, self._run, texts=self._where())
            if ended:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._asked > self._answered, INTERVAL)

    def _new(
        self, cells: Sequence[tuple[Score, bytes | None, dict[str, Any]]]
    ) -> dict[int, dict[str, str]]:
        """Return the candidates that are not in the file yet, with their parameters."""
        found = {score.candidate: score.parameters for score, _, _ in cells}
        new = {n: _texts(known) for n, known in found.items() if n not in self._seen}
        self._seen |= new.keys()
        return new

    @staticmethod
    def _row(score: Score, address: bytes | None, result: dict[str, Any]) -> Cell:
        text, same = encoded(result)
        return Cell(
            score.candidate,
            score.fold,
            address if same else None,
            text,
            round(score.ended, 3),
            score.worker,
            None if score.error is None else provenance.redacted(score.error),
            score.known,
        )

    def _look(self) -> None:
        """Bring the run up to what its report says."""
        run, report = self._run, self._report
        run.updated = time.time()
        run.status, run.name, run.where = report.status, report.name, report.where
        run.cells, run.cells_done = report.n_cells, report.cells_done
        run.cells_known = report.cells_known
        run.fits, run.fits_done = report.fits_requested, report.fits_done
        run.fits_saved = max(report.fits_saved, 0)
        run.seconds = report.seconds if not run.alive else run.updated - run.started
        run.metric, run.unseeded = report.metric, dict(report.unseeded)
        self._best()
        self._size()

    def _best(self) -> None:
        """Look for the best: at the end, and now and then if that takes no time to speak of."""
        start = time.monotonic()
        if self._run.alive and start - self._looked < max(RANKING, 200 * self._took):
            return
        scores = list(self._report.scores)
        ranking = self._report.ranking()
        if len(ranking) and ranking.scored.any():
            best = int(ranking.order[0])
            self._run.best = float(ranking.means[best])
            self._run.parameters = _texts(ranking.params[best])
        failures = Counter(score.error for score in scores if score.error)
        self._run.failures = {provenance.redacted(text): n for text, n in failures.most_common(20)}
        self._looked = time.monotonic()
        self._took = self._looked - start

    def _size(self) -> None:
        if self._client is None:
            return
        with suppress(Exception):
            workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
            size = [len(workers), sum(info["nthreads"] for info in workers)]
            if not self._run.sizes or self._run.sizes[-1][1:] != size:
                self._run.sizes.append([round(self._run.updated - self._run.started, 1), *size])

    def _where(self) -> dict[str, str]:
        """Note the packages and the repository; return their texts."""
        run = self._run
        known = provenance.environment()
        text = provenance.text_of(known)
        run.commit, changes = provenance.repository(Path.cwd())
        run.environment = provenance.digest(text)
        texts = {run.environment: text}
        if changes:
            run.diff = provenance.digest(changes)
            texts[run.diff] = changes
        if self._client is not None:
            with suppress(Exception):
                run.workers = _differing(self._client, known["packages"])
        return texts


def _differing(client: Client, here: Mapping[str, str]) -> dict[str, str]:
    """Return the packages that one of the workers has in another version."""
    workers = list(client.scheduler_info(n_workers=-1)["workers"])[:1]
    look: Callable[[], dict[str, str]] = provenance.packages
    there = next(iter(client.run(look, workers=workers).values()))
    names = sorted(here.keys() | there.keys())
    return {name: there.get(name, "missing") for name in names if here.get(name) != there.get(name)}


def _texts(parameters: Mapping[str, Any] | None) -> dict[str, str]:
    return {name: _text(value) for name, value in (parameters or {}).items()}


def _text(value: Any) -> str:
    if isinstance(value, _NUMBERS):
        return repr(value)  # no secret is in it, and there are many of them
    return provenance.redacted(" ".join(repr(value).split())[:LONGEST])
