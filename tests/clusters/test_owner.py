"""A cluster belongs to a Jupyter server and to one user, and to nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from processes import close_clusters, family, wait_for

from jupyter_scale import clusters
from jupyter_scale.clusters import Wish, registry

SERVER = """
import sys
from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel()
client.execute_interactive("%load_ext jupyter_scale", timeout=60)
client.execute_interactive("%scale up --workers 1 --memory 1GiB", timeout=60)
print("up", flush=True)
for line in sys.stdin:
    if line.strip() == "kill":
        manager.provisioner.process.kill()
    print("done", flush=True)
"""


@pytest.fixture
def server(runtime: Path) -> Iterator[subprocess.Popen[str]]:
    """What a Jupyter server is to its kernels: the process that starts them."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            while process.stdout.readline() != "up\n":
                assert process.poll() is None
            yield process
        finally:
            process.kill()


def test_it_stays_when_the_kernel_is_killed_and_ends_when_the_server_is(
    server: subprocess.Popen[str],
) -> None:
    [connection] = registry.connections()
    assert connection.owner is not None
    assert connection.owner.pid == server.pid
    processes = family(connection.host.pid)
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("kill\n")
    server.stdin.flush()
    assert server.stdout.readline() == "done\n"
    cluster = clusters.use(connection.id)
    assert cluster.client.submit(sum, [1, 2]).result(timeout=30) == 3
    clusters.leave()
    assert all(process.is_running() for process in processes)
    server.send_signal(signal.SIGKILL)
    server.wait(10)
    _, alive = psutil.wait_procs(processes, timeout=15)
    assert not alive
    assert registry.connections() == []
    assert registry.reread(connection).words == "the process that it belonged to has ended"


AS_NOBODY = """
import os, sys
os.setgid(65534)
os.setuid(65534)
for path in sys.argv[1:]:
    try:
        open(path).read()
    except PermissionError:
        continue
    print(path)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_reads_none_of_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        # as careless as can be: the directory is open, the files are not
        monkeypatch.setenv("JUPYTER_RUNTIME_DIR", folder)
        try:
            clusters.start("local", Wish(1, memory="1GiB"))
            files = [str(path) for path in Path(folder).iterdir()]
            assert len(files) == 2
            public = Path(folder, "public")
            public.write_text("for all")
            files.append(str(public))
            command = [sys.executable, "-c", AS_NOBODY, *files]
            seen = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
            assert seen.stdout == f"{public}\n"
        finally:
            clusters.leave()
            close_clusters(folder)


def test_a_start_in_the_middle_ends_with_its_owner_too(runtime: Path) -> None:
    code = "from jupyter_scale import clusters\nclusters.start('local')"
    with subprocess.Popen([sys.executable, "-c", code]) as owner:
        wait_for(lambda: any(runtime.glob("*.json")))
        owner.kill()
    wait_for(lambda: registry.connections() == [])


def test_notes_of_the_ended_are_kept_for_a_day(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = clusters.start("local", Wish(1, memory="1GiB"))
    assert cluster.connection is not None
    os.kill(cluster.connection.host.pid, signal.SIGKILL)
    wait_for(lambda: registry.connections() == [])
    note = registry.reread(cluster.connection)
    assert (note.state, note.words) == ("closed", "its host process was killed")
    assert "BEGIN" not in "".join(path.read_text() for path in runtime.glob("*.json")), "no key"
    monkeypatch.setattr(registry, "KEPT", 0.0)
    assert registry.connections() == []
    assert not list(runtime.iterdir())
