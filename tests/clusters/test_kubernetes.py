"""Clusters on Kubernetes: who gets in, what pods wait for, and what stays.

The stock operator and KubeCluster, on the small Kubernetes of `bed_kubernetes`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bed_kubernetes
import dask
import psutil
import pytest
from bed_kubernetes import FACTORY, IMAGE, Kubernetes, Server
from distributed import Client
from processes import close_clusters, free_port, host, wait_for
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from jupyter_scale import clusters, merged
from jupyter_scale.clusters import Adapt, Cluster, ClusterError, Wish, pods, registry

SLOW = 60
NAME = "mine"
SPOT = {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}


@pytest.fixture(scope="module", autouse=True)
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the clusters' files are: the tests share a cluster."""
    folder = tmp_path_factory.mktemp("kubernetes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        patch.delenv("JPY_PARENT_PID", raising=False)
        yield folder


@pytest.fixture(autouse=True)
def runtime() -> None:
    """Not a directory for each test, as elsewhere."""


@pytest.fixture(scope="module")
def bed(folder: Path) -> Iterator[Kubernetes]:
    with bed_kubernetes.start(folder) as bed:
        try:
            yield bed
        finally:
            clusters.leave()
            close_clusters(str(folder / "runtime"))


@pytest.fixture(scope="module")
def cluster(bed: Kubernetes) -> Cluster:
    return start(
        {"environment": {"COLOUR": "red"}},
        name=NAME,
        resources={"requests": {"cpu": 2, "memory": "1Gi"}},
        tolerations=[SPOT],
        **{"node-selector": {"spot": "true"}},
    )


def start(more: dict[str, Any] | None = None, wish: Wish = Wish(1), **kwargs: Any) -> Cluster:  # noqa: B008
    """Start a cluster of a profile with these arguments of the class, and more settings."""
    profile = {"factory": {**FACTORY, "kwargs": kwargs}, "image": IMAGE, **(more or {})}
    with dask.config.set({"jupyter-scale.profiles": {"pods": profile}}):
        return clusters.start("pods", wish)


def refused(says: str, more: dict[str, Any] | None = None, **kwargs: Any) -> None:
    before = registry.connections()
    with pytest.raises(ClusterError, match=says) as caught:
        start(more, **kwargs)
    assert "\n" not in str(caught.value)
    assert registry.connections() == before


# -- the way to it


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API server without nodes and without the operator."""
    with bed_kubernetes.bare(tmp_path_factory.mktemp("bare")) as server:
        yield server


def test_without_a_kubeconfig_it_is_said_where_to_put_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "absent"))
    refused("There is no Kubernetes here .*: put a kubeconfig to ~/.kube/config, or name it by")


def test_a_server_that_does_not_answer_is_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(port=port)))
    refused(rf"API server at http://127\.0\.0\.1:{port} does not answer: .*kubectl config current")


def test_a_refused_token_is_said_to_be(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(token="expired")))
    refused(r"does not let you in \(401 Unauthorized\): .*renew your kubeconfig")


def test_what_is_not_allowed_is_listed_before_anything_is_made(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig("reader")))
    refused(
        "does not allow you to create daskclusters, delete daskclusters, patch daskworkergroups, "
        "create daskautoscalers, delete daskautoscalers, create networkpolicies, create secrets in "
        "the namespace default: "
        "ask its administrator"
    )


def test_without_the_operator_the_command_that_installs_it_is_said(server: Server) -> None:
    refused("no Dask operator; .* helm install --repo https://helm.dask.org .* --version 20")
    bed_kubernetes.define(server)
    refused("operator takes no note of it: does it run, .* helm install", resource_timeout=1)
    assert not server.left()


# -- one that runs


def test_its_workers_run_on_spot_machines_and_its_scheduler_does_not(
    bed: Kubernetes, cluster: Cluster
) -> None:
    nodes = {pods.role(pod): pod["spec"]["nodeName"] for pod in bed.server.all("pods")}
    assert nodes == {"scheduler": "steady", "worker": "spot"}


def test_workers_have_the_profiles_variables_and_threads_of_their_own(cluster: Cluster) -> None:
    assert list(cluster.client.nthreads().values()) == [2]
    for name, value in {"COLOUR": "red", "OMP_NUM_THREADS": "1"}.items():
        assert list(cluster.client.run(os.getenv, name).values()) == [value]


def test_nobody_gets_in_without_its_certificate(bed: Kubernetes, cluster: Cluster) -> None:
    [scheduler] = [pod for pod in bed.server.all("pods") if pods.role(pod) == "scheduler"]
    address = f"{scheduler['status']['podIP']}:8786"
    for plain in (f"tcp://{address}", cluster.address.replace("tls://", "tcp://")):
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "2s"}),
            pytest.raises(OSError, match=r"Timed out|closed"),
        ):
            Client(plain, timeout="2s", set_as_default=False)
    listening = [
        one.laddr.ip
        for one in psutil.Process(host(cluster)).net_connections("inet")
        if one.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_the_key_is_in_a_secret_that_the_cluster_owns(bed: Kubernetes, cluster: Cluster) -> None:
    [owner] = bed.server.all("daskclusters")
    assert "PRIVATE KEY" not in str(owner)
    for kind in ("secrets", "networkpolicies"):
        [found] = bed.server.all(kind)
        [reference] = found["metadata"]["ownerReferences"]
        assert reference["uid"] == owner["metadata"]["uid"]


def test_a_search_runs_on_it_with_the_scores_of_scikit_learn(cluster: Cluster) -> None:
    data, labels = load_iris(return_X_y=True)
    steps = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [0.1, 1.0]}
    expected = GridSearchCV(steps, grid).fit(data, labels).cv_results_["mean_test_score"]
    with merged(cluster.client):
        found = GridSearchCV(steps, grid).fit(data, labels).cv_results_["mean_test_score"]
    assert list(found) == list(expected)


def test_a_deleted_pod_is_replaced(bed: Kubernetes, cluster: Cluster) -> None:
    before = set(cluster.client.nthreads())
    [worker] = [pod for pod in bed.server.all("pods") if pods.role(pod) == "worker"]
    bed.server.delete("pods", worker["metadata"]["name"])
    wait_for(lambda: len(set(cluster.client.nthreads()) - before) == 1, SLOW)
    assert cluster.client.submit(sum, [1, 2], pure=False).result(timeout=SLOW) == 3


def test_a_number_ends_the_adapting_for_good(bed: Kubernetes, cluster: Cluster) -> None:
    assert cluster.connection is not None
    registry.adapt(cluster.connection, Adapt(1, 2))
    assert len(bed.server.all("daskautoscalers")) == 1
    registry.scale(cluster.connection, 1)
    assert bed.server.all("daskautoscalers") == []


# -- what does not start


def test_a_name_that_is_taken_is_refused_and_its_owner_stays(
    bed: Kubernetes, cluster: Cluster
) -> None:
    refused(rf'"{NAME}" already exists: .* choose another', name=NAME)
    assert cluster.ready().alive
    assert len(bed.server.all("daskclusters")) == 1


def test_pods_that_no_node_takes_are_waited_for_in_kubernetes_words(bed: Kubernetes) -> None:
    says = r"no worker came within 3 s: the scheduler's pod: Unschedulable: 0/2 nodes are available"
    refused(
        f"{says}: 1 Insufficient cpu, 1 node.s. had untolerated taint",
        {"timeout": "3 s"},
        resources={"requests": {"cpu": 64}},
    )


def test_an_image_that_cannot_be_pulled_is_not_waited_for(bed: Kubernetes) -> None:
    refused(
        "pod: ImagePullBackOff: .*failed to pull .*not found",
        {"image": "registry.test/absent:1"},
    )


def test_a_worker_that_crashes_is_not_waited_for_and_its_last_line_is_shown(
    bed: Kubernetes,
) -> None:
    refused(
        r"a worker's pod: CrashLoopBackOff: .*exit code 1 \(Error\): ZeroDivisionError: division",
        worker_command="python -c 1/0",
    )


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"tolerationss": []}, "has no 'tolerationss': did you mean tolerations?"),
        ({"name": "My_pods"}, "'My_pods' is not of small letters, digits and hyphens"),
    ],
    ids=["argument", "name"],
)
def test_a_mistake_in_the_profile_is_found_before_anything_is_made(
    kwargs: dict[str, Any], says: str
) -> None:
    refused(says, **kwargs)


# -- its end


def left(bed: Kubernetes, name: str) -> list[str]:
    """What is there of the clusters whose names begin so."""
    return [one for one in bed.left() if one.partition(" ")[2].startswith(name)]


def ended(cluster: Cluster) -> bool:
    """Whether its host has said so."""
    return cluster.connection is not None and not cluster.connection.alive


def test_a_scheduler_that_is_lost_ends_the_cluster_and_nothing_stays(
    bed: Kubernetes, cluster: Cluster
) -> None:
    pid: int = cluster.client.run_on_scheduler(os.getpid)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: ended(cluster), SLOW)
    says = "its scheduler is lost, and all that it knew: it ended with exit code 137"
    assert says in cluster.state().text
    clusters.leave()
    wait_for(lambda: not left(bed, NAME), SLOW)


@pytest.mark.long
@pytest.mark.slow
def test_so_does_one_that_is_lost_while_the_cluster_adapts(bed: Kubernetes) -> None:
    cluster = start(wish=Wish(adapt=Adapt(1, 2)))
    pid: int = cluster.client.run_on_scheduler(os.getpid)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: ended(cluster), SLOW)
    text = cluster.state().text
    assert "its scheduler was started anew" in text or "its scheduler is lost" in text
    clusters.leave()
    wait_for(lambda: not left(bed, "pods-"), SLOW)


# -- words


def pod(role: str, **status: Any) -> dict[str, Any]:
    labels = {"dask.org/component": role}
    return {"metadata": {"labels": labels, "uid": role}, "status": status}


def container(restarts: int = 0, **about: Any) -> list[dict[str, Any]]:
    return [{"restartCount": restarts, **about}]


def test_the_scheduler_is_spoken_of_until_it_runs() -> None:
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    creating = container(state={"waiting": {"reason": "ContainerCreating"}})
    worker = pod("worker", phase="Pending", containerStatuses=creating)
    assert pods.spoken([worker, pod("scheduler")]) == "the scheduler's pod: pending"
    assert pods.spoken([pod("scheduler", phase="Running")]) == "the scheduler's pod: starting"
    found = [pod("scheduler", **ready), worker, worker, pod("worker", **ready)]
    assert pods.spoken(found) == "2 worker pods: ContainerCreating, 1 worker pod: running"


def test_an_evicted_pod_and_a_quota_are_told_in_kubernetes_words() -> None:
    evicted = pod("worker", phase="Failed", reason="Evicted", message="low on\nmemory")
    assert pods.state(evicted).words == "Evicted: low on memory"
    quota = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate"}
    conditions = [{**quota, "message": "exceeded quota: team"}]
    assert pods.refused([{"status": {"conditions": conditions}}, {}]) == (
        "FailedCreate: exceeded quota: team"
    )
    assert pods.refused([{}]) == ""


def test_a_scheduler_is_lost_when_it_is_gone_or_another() -> None:
    running = pod("scheduler", containerStatuses=container(state={"running": {}}))
    known = pods.identity(running)
    assert pods.lost([running], known) == ""
    assert "node was lost" in pods.lost([], known)
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    again = container(1, state={"running": {}}, lastState=killed)
    assert pods.lost([pod("scheduler", containerStatuses=again)], known) == (
        "it ended with exit code 137 (OOMKilled)"
    )
