"""Workers that are jobs of a batch system, through dask-jobqueue: SLURM, PBS, LSF, SGE and others.

The scheduler runs in the host. A worker comes when the batch system has room for its job, which is
why `words` says what the jobs wait for. A job that is lost is sent again, because every size is
kept by adapting: dask-jobqueue's own `scale` sends each job once. Workers end by themselves when
the scheduler is gone, whatever became of the host. What they must read (certificates) or write
(logs) is in a folder of the cluster's own, below Jupyter's runtime directory: that must be one that
all machines see, as a home directory is, or another is to be named by ``shared-temp-directory``.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import dask
from distributed import Security
from distributed.deploy.adaptive import Adaptive
from distributed.diagnostics.plugin import SchedulerPlugin

from jupyter_scale.clusters import dashboard
from jupyter_scale.clusters.backend import Backend
from jupyter_scale.clusters.connection import Process, scratch
from jupyter_scale.clusters.limits import ClusterError, Size, check_workers, counted
from jupyter_scale.clusters.profiles import Adapt, Profile
from jupyter_scale.clusters.threads import VARIABLES

__all__ = ["JobQueue", "Slurm"]

PATIENCE = 30.0  # seconds that a nanny has to restart its worker until the job is given up
LOOPBACK = "127.0.0.1:0"
OLDER = {"worker_extra_args": "extra", "job_script_prologue": "env_extra"}
"""dask-jobqueue's settings, and what they were called before."""
NEVER = re.compile(
    r"BadConstraints|Partition(Config|Down|Inactive|NodeLimit|TimeLimit)|Invalid(Account|QOS)"
    r"|AccountNotAllowed|QOSNotAllowed|.*(MaxCpuPerJob|MaxMemPerJob|MaxNodePerJob|MaxWall).*"
    r"|JobHeld(Admin|User)|launch.failed.requeued.held|DependencyNeverSatisfied",
    re.IGNORECASE,
)
"""Reasons for which SLURM leaves a job pending until somebody changes something."""


class JobQueue(Backend):
    """A cluster whose workers are jobs; `self.cluster` is a dask_jobqueue.JobQueueCluster."""

    def __init__(
        self, profile: Profile, workers: int | None, adapt: Adapt | None, size: Size | None = None
    ) -> None:
        if workers is None and adapt is None:
            workers = profile.factory.kwargs.get("n_workers") or 1
        super().__init__(profile, workers, adapt, size)
        self._folder = scratch(Process.this())

    _later, _prefix = False, "/"  # whether it has no dashboard yet, and where it is to be

    def complete(self) -> None:
        if self._later:
            dashboard.add(self.cluster, self._prefix)

    def prepare(self) -> None:
        # dask_jobqueue takes Ctrl-C over when it is imported, which no thread but the first may
        before = signal.getsignal(signal.SIGINT)
        try:
            self.factory()
        finally:
            signal.signal(signal.SIGINT, before)

    def start(self) -> None:
        program = self._submits
        if shutil.which(program) is None:
            raise ClusterError(
                f"There is no {program} on this machine: start Jupyter on one from which jobs are "
                "sent (a login node), or use another profile"
            )
        self._folder.mkdir(mode=0o700, exist_ok=True)
        super().start()

    @property
    def _submits(self) -> str:
        """The program that sends a job."""
        return shlex.split(self.factory().job_cls.submit_command)[0]

    def settings(self) -> dict[str, Any]:
        # Dask would then end the job of that name, even one that was sent again meanwhile.
        never = {"distributed.deploy.lost-worker-timeout": "365 days"}
        return {**super().settings(), **never, **self.profile.config}

    def arguments(self) -> dict[str, Any]:
        kwargs = {key: value for key, value in super().arguments().items() if key != "n_workers"}
        secure = kwargs.get("security", True)
        folder = str(self._folder)
        args, lines = ([*self._said(name, [])] for name in OLDER)
        for name in OLDER.values():
            kwargs.pop(name, None)
        options = {"dashboard_address": LOOPBACK, **self._said("scheduler_options", {})}
        self._prefix = str(options.get("http_prefix", "/"))
        self._later = dashboard.can_wait(options)
        return {
            **kwargs,
            "security": Security.temporary() if secure is True else secure or None,
            "cores": self._needed("cores", 8),
            "memory": self._needed("memory", "16GiB"),
            "processes": self._processes,
            "log_directory": self._said("log_directory", folder),
            "shared_temp_directory": self._said("shared_temp_directory", folder),
            "scheduler_options": {**options, **(dashboard.LATER if self._later else {})},
            "worker_extra_args": ["--dashboard-address", LOOPBACK, *args],
            "job_script_prologue": [*self._exports(), *lines],
        }

    def _exports(self) -> list[str]:
        """Return lines for the job script: many batch systems do not hand on an environment."""
        variables = {**dict.fromkeys(VARIABLES, "1"), **self.profile.environment}
        if self.profile.config:
            settings = dask.config.serialize(dict(self.profile.config))
            variables["DASK_INTERNAL_INHERIT_CONFIG"] = settings
        return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]

    def _said(self, name: str, default: Any = None) -> Any:
        """Return what the profile says of a setting, or the user's jobqueue.yaml."""
        kwargs = self.profile.factory.kwargs
        section = kwargs.get("config_name") or self.factory().job_cls.config_name
        for key in filter(None, (name, OLDER.get(name))):
            found = kwargs.get(key) or dask.config.get(f"jobqueue.{section}.{key}", None)
            if found:
                return found
        return default

    def _needed(self, name: str, example: Any) -> Any:
        found = self._said(name)
        if found is None:
            raise ClusterError(
                f"{self.profile.origin}: jupyter-scale.profiles.{self.profile.name}.factory.kwargs:"
                f" {name} of a job is missing: write, for example, {name}: {example}"
            )
        return found

    @property
    def _processes(self) -> int:
        """How many workers one job is; dask-jobqueue would derive it from the cores."""
        return int(self._said("processes", 1))

    def scale(self, workers: int) -> None:
        check_workers(workers, "%scale to")
        number = self._whole(workers)
        self._keep(number, number)
        self.workers, self.adapted = number, None

    def adapt(self, between: Adapt) -> None:
        check_workers(between.maximum, "%scale adapt")
        self._keep(self._whole(between.minimum), self._whole(between.maximum))
        self.workers, self.adapted = None, between

    def _whole(self, workers: int) -> int:
        """Return how many workers there are in the jobs for so many."""
        return math.ceil(workers / self._processes) * self._processes

    def _keep(self, minimum: int, maximum: int) -> None:
        try:
            self.cluster.sync(self._send, minimum // self._processes)
        except RuntimeError as error:
            raise ClusterError(_refusal(str(error))) from None
        grouped = {"worker_key": _job_of} if self._processes > 1 else {}
        self.cluster.adapt(Adaptive=Mending, minimum=minimum, maximum=maximum, **grouped)

    async def _send(self, jobs: int) -> None:
        """Have at least this many jobs; what is refused is raised here, and forgotten there."""
        cluster = self.cluster
        if Attendance.name not in cluster.scheduler.plugins:
            cluster.scheduler.add_plugin(Attendance(cluster))
        while len(cluster.worker_spec) < jobs:
            cluster.worker_spec.update(cluster.new_worker_spec())
        try:
            await cluster._correct_state()
        except RuntimeError:
            for name, job in list(cluster.workers.items()):
                if job.job_id is None:
                    del cluster.workers[name], cluster.worker_spec[name]
                    cluster._created.discard(job)
            raise

    def close(self) -> None:
        try:
            super().close()
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


class Attendance(SchedulerPlugin):
    """Notes at each job when a worker of it was seen first or last."""

    name = "jupyter-scale-attendance"

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster

    def add_worker(self, scheduler: Any, worker: str) -> None:
        name = str(scheduler.workers[worker].name)
        jobs = self.cluster.workers
        job = jobs.get(name) or jobs.get(_stem(name))
        if job is not None:
            job.seen = time.monotonic()


class Mending(Adaptive):
    """Sends a job again whose workers are lost; Dask alone notices that for jobs of one only."""

    async def recommendations(self, target: int) -> dict[str, Any]:
        cluster: Any = self.cluster
        now = time.monotonic()
        names = {str(worker.name) for worker in cluster.scheduler.workers.values()}
        present = names | {_stem(name) for name in names}
        for name, job in list(cluster.workers.items()):
            ended, seen = getattr(job, "ended", None), getattr(job, "seen", None)
            if name in present:
                job.seen = now
            elif (ended and seen) or now - (seen or ended or now) > PATIENCE:
                await job.close()
                cluster.workers.pop(name, None)
        found: dict[str, Any] = await super().recommendations(target)
        return found


def _stem(name: str) -> str:
    """Return the job of a worker that shares it with others."""
    return name.rpartition("-")[0]


def _job_of(worker: Any) -> str:
    """Return the job of a worker, so that whole jobs are ended."""
    return _stem(str(worker.name))


def _refusal(text: str) -> str:
    r"""Return what a batch system said, in a line.

    Examples
    --------
    >>> _refusal("Exit code: 1\nstderr:\nsbatch: error: no partition\nsbatch: error: failed")
    'sbatch: no partition; failed'
    """
    lines = text.rpartition("stderr:\n")[2].split("\n")
    said = [re.sub(r"^(\w+): (error: )?", r"\1: ", line.strip()) for line in lines if line.strip()]
    program = re.match(r"\w+: ", said[0]) if said else None
    head = program[0] if program else ""
    return head + "; ".join(line.removeprefix(head) for line in said)


class Slurm(JobQueue):
    """The same on SLURM, which is asked what its jobs wait for."""

    _came = False

    def adapt(self, between: Adapt) -> None:
        if not between.minimum:
            self._try()
        super().adapt(between)

    def _try(self) -> None:
        """Have SLURM look at a job that is sent later only, when nobody would see it refused."""
        done = subprocess.run(
            [self._submits, "--test-only"],
            input=self.cluster.job_script(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ClusterError(_refusal(done.stderr))

    def words(self) -> str:
        if self.cluster is None:
            return ""
        jobs = {job.job_id: job for job in list(self.cluster.workers.values()) if job.job_id}
        self._came = self._came or any(hasattr(job, "seen") for job in jobs.values())
        states = _queue()
        if states is None:
            return "squeue does not answer"
        for number, job in jobs.items():
            if number not in states and not hasattr(job, "ended"):
                job.ended = time.monotonic()
        found = Counter(_state(*states[number]) for number in jobs if number in states)
        said = [f"{counted(number, 'job')} {state}" for state, number in found.items()]
        ended = [n for n, job in jobs.items() if n not in states and not hasattr(job, "seen")]
        if ended:
            said.append(f"job {ended[0]} ended before its worker came{self._last_line(ended[0])}")
        never = any(NEVER.fullmatch(states[number][1]) for number in jobs if number in states)
        line = ", ".join(said)
        if (never or ended) and not self._came:
            raise ClusterError(line)
        return line

    def _last_line(self, job: str) -> str:
        """Return the last line of a job's log, where it can be seen from here."""
        for log in Path(self._said("log_directory", str(self._folder))).glob(f"*-{job}*.err"):
            lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
            return f": {last}" if last else ""
        return ""


def _queue() -> dict[str, tuple[str, str]] | None:
    """Return state and reason of this user's jobs by number; None if SLURM does not answer."""
    command = ["squeue", "--user", str(os.getuid()), "--noheader", "--format", "%A|%T|%r"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    rows = (line.strip().split("|", 2) for line in done.stdout.split("\n") if line.strip())
    return {number: (state, reason) for number, state, reason in rows}


def _state(state: str, reason: str) -> str:
    """Return a job's state in words.

    Examples
    --------
    >>> _state("PENDING", "Resources"), _state("RUNNING", "None")
    ('pending: Resources', 'running')
    """
    waits = state == "PENDING" and reason not in ("", "None")
    return f"{state.lower()}: {reason}" if waits else state.lower()
