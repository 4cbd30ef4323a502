"""Runs on an MLflow tracking server: a run for the search, and below it one for each candidate.

Metrics have the names of ``cv_results_``. A run that is there already, found by the tag
``scale.run``, is brought up to date: candidates that are there and equal are left alone, so that a
log which was broken off is completed by doing it again. All goes through an `MlflowClient` of its
own: what the notebook itself does with MLflow (its server, its active run) is not touched.

MLflow takes seconds to import, so nothing here is imported before something is written.
"""

from __future__ import annotations

import csv
import getpass
import importlib
import io
import json
import logging
import os
import re
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dask

from jupyter_scale.runs.place import RecordError
from jupyter_scale.runs.provenance import HIDDEN, redacted
from jupyter_scale.runs.tracking import Candidate, Tracked
from jupyter_scale.search.fitted import Fitted

__all__ = ["SETTING", "MLflow", "configured"]

SETTING = "jupyter-scale.mlflow"
MOST = 1_000  # candidates that have a run of their own
AT_ONCE = 8  # requests
PATIENCE = 10  # seconds for the server's first answer
TELL = 5.0  # seconds between two words on how far it is
EXPERIMENT = "jupyter-scale"
_STATUS = {
    "done": "FINISHED",
    "running": "RUNNING",
    "refitting": "RUNNING",
    "stopped": "KILLED",
    "interrupted": "KILLED",
}
_KEY = re.compile(r"[^\w\-./ :]")  # what MLflow allows in a name


@dataclass(frozen=True, slots=True)
class MLflow:
    """A `tracking.Tracker` that writes to MLflow.

    Parameters
    ----------
    uri : str
        Of the tracking server, or of a store without one, such as ``sqlite:///mlflow.db``.
    experiment : str
        Its name; by default the notebook's.
    most : int
        How many candidates, the best ones, have a run of their own; all of them are in the
        artifact ``candidates.csv``.
    show : callable, optional
        Told now and then how far it is.

    Examples
    --------
    >>> MLflow("http://127.0.0.1:5000").experiment
    ''
    """

    uri: str
    experiment: str = ""
    most: int = MOST
    show: Callable[[str], None] | None = None

    def __call__(self, search: Tracked, /) -> str:
        """Write a run, and return where it can be seen.

        Raises
        ------
        RecordError
            When it could not be written; what is there is completed by the next call.
        """
        name = self.experiment or Path(search.run.notebook).stem or EXPERIMENT
        try:
            with _quiet():
                return _Log(self, _client(self.uri), search, name).write()
        except RecordError:
            raise
        except Exception as error:
            text = redacted(" ".join(str(error).split()))[:300]
            raise RecordError(
                f"{redacted(self.uri)} did not take {search.run.id}: {text}"
            ) from error


def _client(uri: str) -> Any:
    """Return a client; ask first whether anybody is there: MLflow's own would ask for minutes."""
    try:
        import requests
        from mlflow.tracking import MlflowClient
    except ImportError:
        raise RecordError('MLflow is not installed: pip install "jupyter-scale[mlflow]"') from None
    if urlsplit(uri).scheme in ("http", "https"):
        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=PATIENCE)
        except requests.RequestException as error:
            kind = type(error).__name__
            raise RecordError(
                f"no MLflow server answers at {redacted(uri)} ({kind}): start it, or name another"
            ) from None
    try:
        return MlflowClient(uri)
    except ImportError as error:
        raise RecordError(
            f"{redacted(uri)} needs {error.name}: pip install mlflow, or name a server"
        ) from None
    except Exception as error:
        text = redacted(str(error).partition("\n")[0])[:300]
        raise RecordError(f"{redacted(uri)} is no place for MLflow's runs: {text}") from None


class _Log:
    """One run on its way."""

    def __init__(self, to: MLflow, client: Any, search: Tracked, experiment: str) -> None:
        self._to, self._client, self._search = to, client, search
        self._name = experiment
        self._experiment = ""
        self._run = ""
        self._known_before = False

    def write(self) -> str:
        search, client = self._search, self._client
        self._experiment = self._place()
        self._run = self._parent()
        parameters = {} if search.run.alive else search.parameters  # they could not be changed
        self._batch(self._run, search.metrics, parameters, self._tags(), search.run.updated)
        for name, text in {**search.texts, "candidates.csv": _table(search.candidates)}.items():
            client.log_text(self._run, text, name)
        self._data()
        children = search.candidates[: self._to.most]
        self._children(children)
        model = self._model()
        self._end(self._run, _STATUS.get(search.run.status, "FAILED"), search.run.updated)
        count = len(search.candidates)
        some = f"the best {len(children):,} of " if count > len(children) else ""
        return (
            f"{search.run.id} is on MLflow, experiment {self._name}: {self._address()}\n"
            f"  {some}{count:,} candidates, {model}"
        )

    def _address(self) -> str:
        uri = redacted(self._to.uri)
        if urlsplit(uri).scheme not in ("http", "https"):
            return f"run {self._run} in {uri}"
        return f"{uri.rstrip('/')}/#/experiments/{self._experiment}/runs/{self._run}"

    def _place(self) -> str:
        """Return the experiment, made if need be."""
        found = self._client.get_experiment_by_name(self._name)
        if found is None:
            try:
                made: str = self._client.create_experiment(self._name, _artifacts(self._to.uri))
                return made
            except Exception:  # another one was faster
                found = self._client.get_experiment_by_name(self._name)
                if found is None:
                    raise
        if found.lifecycle_stage != "active":
            raise RecordError(
                f"the experiment {self._name} was deleted on the server: restore it, or name "
                "another with --experiment"
            )
        place: str = found.experiment_id
        return place

    def _parent(self) -> str:
        """Return the run of the search, made if need be."""
        run = self._search.run
        query = f"tags.`scale.run` = '{run.id}' and tags.`scale.kind` = 'search'"
        found = self._client.search_runs([self._experiment], query, max_results=1)
        self._known_before = bool(found)
        if not found:
            found = [self._create(self._search.name, run.started, {"scale.kind": "search"})]
        parent: str = found[0].info.run_id
        return parent

    def _create(self, name: str, started: float, tags: Mapping[str, str]) -> Any:
        common = {"scale.run": self._search.run.id, **_user()}
        return self._client.create_run(
            self._experiment,
            start_time=_milliseconds(started),
            tags={**common, **tags},
            run_name=name[:250],
        )

    def _tags(self) -> dict[str, str]:
        run = self._search.run
        tags = {f"scale.{name}": text for name, text in self._search.tags.items()}
        if self._known_before:
            tags.setdefault("scale.tags", "")  # they may have been taken away
        if run.notebook:
            tags |= {"mlflow.source.name": run.notebook, "mlflow.source.type": "NOTEBOOK"}
        if run.commit:
            tags["mlflow.source.git.commit"] = run.commit
        tags["mlflow.note.content"] = tags.pop("scale.note", "")
        return tags

    def _batch(
        self,
        run: str,
        metrics: Mapping[str, float],
        parameters: Mapping[str, str],
        tags: Mapping[str, str],
        when: float,
    ) -> None:
        """Write all of a run with as few requests as may be."""
        from mlflow.entities import Metric, Param, RunTag
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH

        stamp = _milliseconds(when)
        measured = [Metric(_key(name), value, stamp, 0) for name, value in metrics.items()]
        chosen = [Param(_key(name), text) for name, text in parameters.items()]
        tagged = [RunTag(_key(name), text) for name, text in tags.items()]
        few = MAX_PARAMS_TAGS_PER_BATCH
        many = MAX_METRICS_PER_BATCH - 2 * few  # all three together have a limit, too
        for n in range(max(_parts(measured, many), _parts(chosen, few), _parts(tagged, few))):
            self._client.log_batch(
                run,
                metrics=measured[n * many : (n + 1) * many],
                params=chosen[n * few : (n + 1) * few],
                tags=tagged[n * few : (n + 1) * few],
            )

    def _data(self) -> None:
        """Name the data by its digest; nothing else of it is known."""
        from mlflow.entities import Dataset, DatasetInput

        digest = self._search.run.data
        if digest:
            source = json.dumps({"notebook": self._search.run.notebook})
            data = Dataset("training data", digest, "jupyter-scale", source)
            self._client.log_inputs(self._run, [DatasetInput(data)])

    # -- the candidates

    def _children(self, candidates: Sequence[Candidate]) -> None:
        known = self._known()
        wanted = [
            one
            for one in candidates
            if known.get(one.number, ("", "", ""))[1:] != (_digest(one), _ended(one))
        ]
        # a store without a server takes one after the other
        at_once = AT_ONCE if urlsplit(self._to.uri).scheme in ("http", "https") else 1
        told = time.monotonic()
        stop = threading.Event()

        def write(one: Candidate) -> None:
            if not stop.is_set():
                self._child(one, known.get(one.number, ("",))[0])

        with ThreadPoolExecutor(at_once, thread_name_prefix="scale-mlflow") as pool:
            waiting = [pool.submit(write, one) for one in wanted]
            try:
                for done, future in enumerate(as_completed(waiting), 1):
                    future.result()
                    if self._to.show is not None and time.monotonic() - told > TELL:
                        told = time.monotonic()
                        self._to.show(f"MLflow: {done:,} of {len(waiting):,} candidates")
            finally:
                stop.set()  # after an error or an interrupt, none begins

    def _known(self) -> dict[int, tuple[str, str, str]]:
        """Return the candidates that are there: run, digest and status by number."""
        query = f"tags.`mlflow.parentRunId` = '{self._run}'"
        found: dict[int, tuple[str, str, str]] = {}
        token: str | None = None
        while True:
            page = self._client.search_runs([self._experiment], query, page_token=token)
            for one in page:
                number = one.data.tags.get("scale.candidate", "")
                if number.isdigit():
                    digest = one.data.tags.get("scale.digest", "")
                    found[int(number)] = (one.info.run_id, digest, one.info.status)
            token = page.token
            if not token:
                return found

    def _child(self, one: Candidate, run: str) -> None:
        if not run:
            tags = {
                "mlflow.parentRunId": self._run,
                "scale.candidate": str(one.number),
                "scale.kind": "candidate",
            }
            run = self._create(one.name, one.started, tags).info.run_id
        tags = {"scale.digest": _digest(one), "scale.error": one.error}
        self._batch(run, one.metrics, one.parameters, tags, one.ended)
        self._end(run, _ended(one), one.ended)

    def _end(self, run: str, status: str, when: float) -> None:
        if status == "RUNNING":
            self._client.update_run(run, status)
        else:
            self._client.set_terminated(run, status, _milliseconds(when))

    # -- the model

    def _model(self) -> str:
        """Write the best estimator, once; say whether it is there."""
        known = self._client.search_logged_models(
            [self._experiment], f"source_run_id = '{self._run}'"
        )
        if any(str(one.status) == "READY" for one in known):
            return "with the model"
        held = self._search.model
        if held is None:
            return "without a model (only the kernel that has the fitted search can write it)"
        if HIDDEN in redacted(_parameters(held.estimator)):
            return "without the model: what looks like a secret is among its parameters"
        try:
            return self._write_model(held)
        except Exception as error:
            text = redacted(" ".join(str(error).split()))[:300]
            return f"without the model: {text or type(error).__name__}"

    def _write_model(self, held: Fitted) -> str:
        from mlflow import sklearn
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        signature = _signature(held)
        made = self._client.create_logged_model(
            self._experiment, name="model", source_run_id=self._run
        )
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "model")
            try:
                sklearn.save_model(
                    held.estimator,
                    path,
                    mlflow_model=Model(
                        artifact_path=made.artifact_location,
                        run_id=self._run,
                        model_uuid=made.model_id,
                        model_id=made.model_id,
                    ),
                    signature=signature,
                    pip_requirements=_requirements(held.estimator),
                    serialization_format="cloudpickle",  # classes of the notebook go with it
                )
                self._client.log_model_artifacts(made.model_id, path)
            except BaseException:
                self._client.finalize_logged_model(made.model_id, "FAILED")
                raise
        self._client.finalize_logged_model(made.model_id, "READY")
        self._client.log_outputs(self._run, [LoggedModelOutput(made.model_id, step=0)])
        return "with the model" if signature is not None else "with the model, without a signature"


def _signature(held: Fitted) -> Any:
    """Return the columns of the input and the output and their types; no value is in it."""
    from mlflow.models import infer_signature

    with suppress(Exception):  # data of a kind that MLflow does not know
        if held.rows is not None:
            name = "predict" if hasattr(held.estimator, "predict") else "transform"
            return infer_signature(held.rows, getattr(held.estimator, name)(held.rows))
    return None


def _parameters(estimator: Any) -> str:
    found = estimator.get_params(deep=True).items()
    return "\n".join(f"{name}={value!r}" for name, value in found)


def _requirements(estimator: Any) -> list[str]:
    """Return the packages, with versions, that the parts of an estimator are of."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    modules = {type(part).__module__.partition(".")[0] for part in parts}
    names = metadata.packages_distributions()
    found = {name for module in modules for name in names.get(module, ())}
    return [f"{name}=={metadata.version(name)}" for name in sorted({*found, "cloudpickle"})]


# -- small things


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep MLflow's remarks on itself out of the notebook: nobody there could act on them."""
    logger, name = logging.getLogger("mlflow"), "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.simplefilter("ignore")
        importlib.import_module("mlflow")  # which sets the level of its logger
    level, before = logger.level, os.environ.get(name)
    logger.setLevel(logging.ERROR)
    os.environ[name] = "true"  # else it prints two lines for each candidate
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
        os.environ.pop(name) if before is None else os.environ.update({name: before})


def _artifacts(uri: str) -> str | None:
    """Return where artifacts go; a store without a server has them beside its file."""
    if not uri.startswith("sqlite:///"):
        return None
    path = Path(uri.removeprefix("sqlite:///")).absolute()
    return (path.parent / f"{path.stem}-artifacts").as_uri()


def _user() -> dict[str, str]:
    with suppress(Exception):  # a container may have no name for its user
        return {"mlflow.user": getpass.getuser()}
    return {}


def _key(name: str) -> str:
    return _KEY.sub("_", name)[:250]


def _parts(values: Sequence[Any], size: int) -> int:
    return -(-len(values) // size)


def _milliseconds(seconds: float) -> int:
    return int(seconds * 1000)


def _ended(one: Candidate) -> str:
    return "FAILED" if one.error else "FINISHED"


def _digest(one: Candidate) -> str:
    text = json.dumps([one.metrics, one.parameters, one.error], sort_keys=True)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def _table(candidates: Sequence[Candidate]) -> str:
    """Return all candidates as CSV, the best first."""
    metrics = list(dict.fromkeys(name for one in candidates for name in one.metrics))
    parameters = list(dict.fromkeys(name for one in candidates for name in one.parameters))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["candidate", *metrics, *(f"param_{name}" for name in parameters), "error"])
    for one in candidates:
        values = [one.metrics.get(name, "") for name in metrics]
        texts = [one.parameters.get(name, "") for name in parameters]
        table.writerow([one.number, *values, *texts, one.error])
    return text.getvalue()


def configured(
    uri: str = "", experiment: str = "", *, show: Callable[[str], None] | None = None
) -> MLflow | None:
    """Return what writes to the server that is set, or named; None if none is.

    The setting ``jupyter-scale.mlflow`` of Dask's configuration is an address, or has ``uri`` and
    ``experiment``.

    Raises
    ------
    RecordError
        When it is neither.
    """
    setting = dask.config.get(SETTING, None) or {}
    known = {"uri": setting} if isinstance(setting, str) else setting
    if not isinstance(known, Mapping) or not all(
        name in ("uri", "experiment") and isinstance(value, str) for name, value in known.items()
    ):
        raise RecordError(f"{SETTING}: {setting!r}: write an address, or uri: and experiment:")
    place = uri or known.get("uri", "")
    if not place:
        return None
    return MLflow(place, experiment or known.get("experiment", ""), show=show)
