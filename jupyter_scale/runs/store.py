"""The record's file: SQLite, so that several kernels write at once and a killed one harms nothing.

Each run is a row, and so is each of its cells, with the address where later searches find it (see
`jupyter_scale.search.address`); what many runs have in common, as packages, is kept once. Every
change is one transaction. Nothing here is pickled: a record that somebody else wrote runs no code.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import psutil

from jupyter_scale.clusters.connection import Process
from jupyter_scale.runs.place import SETTING, RecordError, default, where
from jupyter_scale.runs.run import Cell, Run

__all__ = ["Store", "opened"]

VERSION = 2
WAIT = 30.0  # seconds for another kernel that writes
MOMENT = 1.0  # seconds for one, where nothing depends on it
SPARE = 2**20  # bytes that a file may have free within
# on these, several machines cannot share the memory that the fast mode of SQLite needs
_SHARED = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "afs", "fuse.sshfs", "9p")

_TABLES = """
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    started REAL NOT NULL,
    updated REAL NOT NULL,
    status TEXT NOT NULL,
    notebook TEXT NOT NULL,
    tags TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX runs_by_start ON runs (started);
CREATE TABLE cells (
    run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    candidate INTEGER NOT NULL,
    fold INTEGER NOT NULL,
    address BLOB,
    result TEXT NOT NULL,
    ended REAL NOT NULL,
    worker TEXT NOT NULL,
    error TEXT,
    known INTEGER NOT NULL
);
CREATE INDEX cells_of_run ON cells (run);
CREATE INDEX cells_by_address ON cells (address) WHERE address IS NOT NULL;
CREATE TABLE candidates (
    run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    candidate INTEGER NOT NULL,
    parameters TEXT NOT NULL,
    PRIMARY KEY (run, candidate)
) WITHOUT ROWID;
CREATE TABLE texts (digest TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
"""
_PREDICTIONS = """
CREATE TABLE predictions (
    run INTEGER NOT NULL REFERENCES runs (number) ON DELETE CASCADE,
    address BLOB NOT NULL UNIQUE,
    body BLOB NOT NULL
);
CREATE INDEX predictions_of_run ON predictions (run)
"""
MIGRATIONS: tuple[str, ...] = (_TABLES, _PREDICTIONS)
"""What each version adds to the one before: the first makes the tables."""


class Store:
    """One file of runs.

    Parameters
    ----------
    path : path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def exists(self) -> bool:
        """Whether anything was ever recorded."""
        return self.path.exists()

    def close(self) -> None:
        """Leave the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- what is written

    def begin(self, run: Run) -> int:
        """Add a run; return its number."""
        row = _row(run)
        with self._changing() as connection:
            cursor = connection.execute(
                "INSERT INTO runs (id, started, updated, status, notebook, tags, body)"
                " VALUES (:id, :started, :updated, :status, :notebook, :tags, :body)",
                row,
            )
            return int(cursor.lastrowid or 0)

    def add(
        self,
        number: int,
        run: Run,
        cells: Sequence[Cell] = (),
        candidates: Mapping[int, Mapping[str, str]] | None = None,
        texts: Mapping[str, str] | None = None,
        predictions: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """Add what a run has done since the last time, all of it or nothing."""
        with self._changing() as connection:
            connection.executemany(
                "INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        number,
                        cell.candidate,
                        cell.fold,
                        cell.address,
                        cell.result,
                        cell.ended,
                        cell.worker,
                        cell.error,
                        cell.known,
                    )
                    for cell in cells
                ],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO candidates VALUES (?, ?, ?)",
                [
                    (number, candidate, json.dumps(parameters))
                    for candidate, parameters in (candidates or {}).items()
                ],
            )
            connection.executemany(
                "INSERT OR IGNORE INTO texts VALUES (?, ?)", list((texts or {}).items())
            )
            connection.executemany(
                "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?)",
                [(number, address, body) for address, body in (predictions or {}).items()],
            )
            row = _row(run)
            # notes and tags are those of people, who may write them meanwhile
            kept = connection.execute("SELECT body FROM runs WHERE number = ?", (number,))
            if (found := kept.fetchone()) is not None:
                body, mine = json.loads(found[0]), json.loads(row["body"])
                row["body"] = json.dumps({**mine, "note": body["note"]})
            connection.execute(
                "UPDATE runs SET updated = :updated, status = :status, body = :body"
                " WHERE number = :number",
                {**row, "number": number},
            )

    def annotate(
        self, run: Run, *, note: str | None = None, tags: Iterable[str] | None = None
    ) -> None:
        """Change the note of a run, or its tags."""
        with self._changing() as connection:
            if note is not None:
                connection.execute(
                    "UPDATE runs SET body = json_set(body, '$.note', ?) WHERE id = ?",
                    (note, run.id),
                )
            if tags is not None:
                connection.execute(
                    "UPDATE runs SET tags = ? WHERE id = ?", (json.dumps(sorted(set(tags))), run.id)
                )

    def remove(self, runs: Iterable[Run]) -> None:
        """Remove runs with all that is theirs, and the texts that no run needs any more."""
        with self._changing() as connection:
            connection.executemany("DELETE FROM runs WHERE id = ?", [(run.id,) for run in runs])
            connection.execute(
                "DELETE FROM texts WHERE digest NOT IN ("
                "SELECT json_extract(body, '$.environment') FROM runs"
                " UNION SELECT json_extract(body, '$.diff') FROM runs)"
            )
        self._shrink()

    # -- what is read

    def runs(
        self,
        *,
        tags: Iterable[str] = (),
        notebook: str | None = None,
        since: float = 0.0,
        until: float | None = None,
        most: int | None = None,
    ) -> list[Run]:
        """Return runs, the latest first: with all these tags, of this notebook, of these days."""
        wanted, conditions, values = set(tags), ["started >= ?"], [since]
        if until is not None:
            conditions.append("started < ?")
            values.append(until)
        query = f"SELECT * FROM runs WHERE {' AND '.join(conditions)} ORDER BY started DESC"
        found = []
        for row in self._rows(query, values):
            run = _run(row)
            if not wanted <= set(run.tags):
                continue
            if notebook is not None and notebook not in (run.notebook, Path(run.notebook).name):
                continue
            found.append(run)
            if most is not None and len(found) >= most:
                break
        return found

    def find(self, name: str) -> Run:
        """Return the run with an id, or the one that it begins; ``last`` is the latest.

        Raises
        ------
        RecordError
            When there is none, or more than one.
        """
        if name == "last":
            latest = self.runs(most=1)
            if latest:
                return latest[0]
            raise RecordError("No run is on record yet: begin a cell with %%scale.")
        escaped = name.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        rows = list(
            self._rows(
                "SELECT * FROM runs WHERE id = ? OR id LIKE ? ESCAPE '\\' ORDER BY started DESC",
                (name, f"{escaped}%"),
            )
        )
        exact = [row for row in rows if row["id"] == name]
        rows = exact or rows
        if len(rows) == 1:
            return _run(rows[0])
        if rows:
            ids = ", ".join(row["id"] for row in rows[:4])
            raise RecordError(f"{name} begins {len(rows)} runs: {ids}. Write more of one.")
        raise RecordError(f"No run {name} is on record: %scale runs lists them.")

    def cells(self, run: Run) -> list[Cell]:
        """Return the finished cells of a run, in the order of their completion."""
        query = (
            "SELECT cells.* FROM cells JOIN runs ON run = number WHERE id = ? ORDER BY cells.rowid"
        )
        return [
            Cell(
                row["candidate"],
                row["fold"],
                row["address"],
                row["result"],
                row["ended"],
                row["worker"],
                row["error"],
                bool(row["known"]),
            )
            for row in self._rows(query, (run.id,))
        ]

    def candidates(self, run: Run) -> dict[int, dict[str, str]]:
        """Return the parameters of a run's candidates, as text, by row of ``cv_results_``."""
        query = (
            "SELECT candidate, parameters FROM candidates JOIN runs ON run = number WHERE id = ?"
            " ORDER BY candidate"
        )
        return {
            row["candidate"]: json.loads(row["parameters"]) for row in self._rows(query, (run.id,))
        }

    def text(self, digest: str) -> str:
        """Return a text of the record, or nothing."""
        rows = self._rows("SELECT text FROM texts WHERE digest = ?", (digest,))
        return next((str(row["text"]) for row in rows), "")

    def known(self, address: bytes, run: str | None = None) -> str | None:
        """Return the result of a cell that has finished, or None.

        Parameters
        ----------
        address : bytes
        run : str, optional
            Look in this run only.
        """
        query, values = "SELECT result FROM cells WHERE address = ?", [address]
        if run is not None:
            query += " AND run = (SELECT number FROM runs WHERE id = ?)"
            values.append(run)  # type: ignore[arg-type]  # bytes and text
        if self._connection is None and not self.exists:
            return None
        with self._named():  # asked for every cell, so not by way of `_rows`
            row = self._open().execute(f"{query} LIMIT 1", values).fetchone()
        return None if row is None else str(row[0])

    def predicted(self, address: bytes) -> bytes | None:
        """Return what is kept of a cell's predictions, or None."""
        rows = self._rows("SELECT body FROM predictions WHERE address = ?", (address,))
        return next((bytes(row["body"]) for row in rows), None)

    @property
    def predicts(self) -> bool:
        """Whether any predictions are kept."""
        return any(True for _ in self._rows("SELECT 1 FROM predictions LIMIT 1"))

    # -- the file

    def _shrink(self) -> None:
        """Give the disk back what is free in the file, unless others are at work in it."""
        connection = self._open()
        free, size = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("freelist_count", "page_size")
        )
        if free * size < SPARE:
            return
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * MOMENT)}")
        with suppress(sqlite3.Error):  # it is used for what comes next
            connection.execute("VACUUM")
        connection.execute(f"PRAGMA busy_timeout = {int(1000 * WAIT)}")

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._named():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    def _rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[sqlite3.Row]:
        if self._connection is None and not self.exists:
            return
        with self._named():
            yield from self._open().execute(query, values)

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise RecordError(_explained(error, self.path)) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # its owner's alone
            connection = sqlite3.connect(
                self.path,
                timeout=WAIT,
                isolation_level=None,
                check_same_thread=False,  # one at a time, but not always the same
            )
            try:
                connection.row_factory = sqlite3.Row
                _prepare(connection, self.path)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    shared = _file_system(path).startswith(_SHARED)
    connection.execute(f"PRAGMA journal_mode = {'DELETE' if shared else 'WAL'}")
    # what a killed process has committed is there all the same; a power cut may cost the last rows
    connection.execute(f"PRAGMA synchronous = {'FULL' if shared else 'NORMAL'}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    if version > VERSION:
        raise RecordError(
            f"{path} was written by a newer jupyter-scale: upgrade this one, or set "
            f"{SETTING} to another file"
        )
    connection.execute("BEGIN IMMEDIATE")
    try:
        # another process may have been here meanwhile
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for migration in MIGRATIONS[version:]:
            for statement in migration.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _file_system(path: Path) -> str:
    """Return the kind of file system that a path is on."""
    resolved = path.resolve()
    best, kind = -1, ""
    for partition in psutil.disk_partitions(all=True):
        mount = Path(partition.mountpoint)
        if len(mount.parts) > best and resolved.is_relative_to(mount):
            best, kind = len(mount.parts), partition.fstype
    return kind


def _explained(error: Exception, path: Path) -> str:
    """Return one line on what is wrong with the file, and what helps."""
    text = str(error)
    if "disk is full" in text or getattr(error, "errno", None) == 28:
        return f"no space is left for {path}: make some"
    if (
        "readonly" in text
        or "unable to open" in text
        or isinstance(error, PermissionError | OSError)
    ):
        return f"{path} cannot be written ({text}): set {SETTING} to a file that can"
    if "malformed" in text or "not a database" in text:
        return f"{path} is no record, or is damaged ({text}): move it away"
    return f"{path}: {text}"


def opened() -> Store:
    """Return the record that is set; this user's own where nothing is to be recorded."""
    return Store(where() or default())


def _row(run: Run) -> dict[str, Any]:
    body = asdict(run)
    columns = ("id", "started", "updated", "status", "notebook")
    row = {name: body.pop(name) for name in columns}
    return {**row, "tags": json.dumps(body.pop("tags")), "body": json.dumps(body)}


_NAMES = {one.name for one in fields(Run)}


def _run(row: sqlite3.Row) -> Run:
    body = {name: value for name, value in json.loads(row["body"]).items() if name in _NAMES}
    columns = {name: row[name] for name in ("id", "started", "updated", "status", "notebook")}
    process = Process(**body.pop("process"))
    return Run(process=process, tags=json.loads(row["tags"]), **columns, **body).seen()
