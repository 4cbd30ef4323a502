"""SLURM on this machine: a controller and two nodes of two CPUs."""

from __future__ import annotations

import getpass
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from beds import Bed
from processes import free_port, wait_for

from jupyter_scale.clusters import Cluster

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue")
NODES = ("n1", "n2")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
# no cgroups, which containers lack
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
# two nodes share this machine, whatever it has
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
# what is more than a partition has is refused at once, whatever the machine has
EnforcePartLimits=ALL
ReturnToService=2
KillWait=2
MessageTimeout=5
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=1 State=UP
PartitionName=down Nodes=ALL State=DOWN
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory=4000"


@contextmanager
def start(folder: Path) -> Iterator[Bed]:
    if any(shutil.which(program) is None for program in PROGRAMS):
        pytest.skip("SLURM is not here: apt-get install --no-install-recommends slurm-wlm munge")
    if os.getuid() != 0:
        pytest.skip("slurmd runs jobs as root only: run these tests in a container, as root")
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        configuration = configure(folder)
        patch.setenv("SLURM_CONF", str(configuration))
        commands = [munge(folder), ["slurmctld", "-c", "-D"]]
        commands += [["slurmd", "-D", "-N", node] for node in NODES]
        for command in commands:
            stack.enter_context(service(command, folder))
            if command[0] == "munged":
                wait_for((folder / "munge.socket").exists)
        wait_for(lambda: asked("sinfo", "-h", "-N", "-p", "debug", "-o", "%T") == ["idle"] * 2)
        stack.callback(cancel)
        factory = {
            "module": "dask_jobqueue",
            "class": "SLURMCluster",
            "kwargs": {
                "cores": 1,
                "memory": "1GiB",
                "interface": "lo",
                "scheduler-options": {"host": "127.0.0.1"},
            },
        }
        settings = {"jobqueue.slurm.death-timeout": 20}
        yield Bed({"factory": factory}, settings, left=jobs, kill=kill)


def configure(folder: Path) -> Path:
    """Write slurm.conf with ports that are free now."""
    host = socket.gethostname().partition(".")[0]
    for name in ("state", *(f"spool.{node}" for node in NODES)):
        (folder / name).mkdir()
    text = CONFIGURATION.format(folder=folder, host=host, port=free_port(), user=getpass.getuser())
    lines = [NODE.format(name=node, host=host, port=free_port()) for node in NODES]
    head, partitions = text.split("PartitionName", 1)
    path = folder / "slurm.conf"
    path.write_text("\n".join([head, *lines, f"PartitionName{partitions}"]))
    return path


def munge(folder: Path) -> list[str]:
    """Return the command of the service by which SLURM's parts know each other."""
    key = folder / "munge.key"
    key.touch(0o400)
    key.write_bytes(secrets.token_bytes(1024))
    files = {"key": key, "socket": folder / "munge.socket", "pid": folder / "munged.pid"}
    files |= {"seed": folder / "munge.seed", "log": folder / "munged.log"}
    options = [
        f"--{name}{'' if name == 'socket' else '-file'}={path}" for name, path in files.items()
    ]
    return ["munged", "--foreground", "--force", *options]


@contextmanager
def service(command: list[str], folder: Path) -> Iterator[None]:
    """Run a program, and end it."""
    with (folder / "services.log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def asked(*command: str) -> list[str]:
    """Return the lines that one of SLURM's programs answers."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return [line.strip() for line in done.stdout.split("\n") if line.strip()]


def jobs() -> list[str]:
    return asked("squeue", "-h", "-o", "%A %T")


def cancel() -> None:
    """End all jobs."""
    for job in jobs():
        asked("scancel", job.split()[0])
    wait_for(lambda: not jobs(), 60)


def kill(cluster: Cluster) -> None:
    """Lose a whole job, as by the end of its node."""
    [*_, job] = jobs()
    asked("scancel", "--signal=KILL", "--full", job.split()[0])
