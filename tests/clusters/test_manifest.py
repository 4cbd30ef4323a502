"""A profile as Kubernetes reads it, and what is wrong with one, without a Kubernetes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
import yaml
from distributed import Security

from jupyter_scale.clusters import Adapt, ClusterError
from jupyter_scale.clusters.manifest import Document, dumps, install, manifest, validate, values
from jupyter_scale.clusters.profiles import Factory, Profile

SPOT = {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"}


def documents(**changes: Any) -> dict[str, Document]:
    """The documents of a profile, by kind."""
    kwargs = {
        "resources": {"requests": {"cpu": "2500m", "memory": "4Gi"}},
        "tolerations": [SPOT],
        "node_selector": {"spot": "true"},
        **changes.pop("kwargs", {}),
    }
    factory = Factory("dask_kubernetes.operator", "KubeCluster", (), kwargs)
    profile = Profile("My pods", factory, image="registry/mine:1", **changes)
    return {document["kind"]: document for document in manifest(profile)}


def pod(document: Document, role: str) -> Any:
    return document["spec"][role]["spec"]


def variables(document: Document, role: str) -> dict[str, str]:
    return {one["name"]: one["value"] for one in pod(document, role)["containers"][0]["env"]}


def test_a_profile_that_adapts_has_an_autoscaler_and_a_policy() -> None:
    found = documents(adapt=Adapt(0, 5))
    assert set(found) == {"NetworkPolicy", "DaskCluster", "DaskAutoscaler"}
    assert found["DaskAutoscaler"]["spec"] == {"cluster": "my-pods", "minimum": 0, "maximum": 5}
    assert found["DaskCluster"]["spec"]["worker"]["replicas"] == 0
    assert "DaskAutoscaler" not in documents(workers=2)
    validate(list(found.values()))


def test_pods_run_dask_in_the_profiles_image_with_its_variables_and_settings() -> None:
    cluster = documents(
        workers=2,
        environment={"MINE": "1"},
        config={"distributed.worker.memory.terminate": False, "kubernetes.namespace": "here"},
        kwargs={"env": {"BOTH": "2", "OMP_NUM_THREADS": "3"}},
    )["DaskCluster"]
    for role in ("scheduler", "worker"):
        [container] = pod(cluster, role)["containers"]
        assert container["image"] == "registry/mine:1"
        assert container["args"][:2] == ["dask", role]
        found = variables(cluster, role)
        assert found["BOTH"] == "2"
        assert found["DASK_DISTRIBUTED__WORKER__MEMORY__TERMINATE"] == "False"
        assert not any("KUBERNETES" in name for name in found)
    assert variables(cluster, "worker")["MINE"] == "1"
    assert cluster["spec"]["worker"]["replicas"] == 2


def test_workers_have_as_many_threads_as_cpus_and_linear_algebra_one() -> None:
    cluster = documents()["DaskCluster"]
    args = pod(cluster, "worker")["containers"][0]["args"]
    assert args[args.index("--nthreads") + 1] == "2"
    assert "--no-dashboard" in args
    assert variables(cluster, "worker")["OMP_NUM_THREADS"] == "1"
    ours = documents(kwargs={"worker_command": "dask worker --nthreads 7"})["DaskCluster"]
    assert pod(ours, "worker")["containers"][0]["args"][2:4] == ["--nthreads", "7"]


def test_workers_alone_are_for_spot_machines_and_all_leave_a_lost_node_soon() -> None:
    cluster = documents()["DaskCluster"]
    assert SPOT in pod(cluster, "worker")["tolerations"]
    assert pod(cluster, "worker")["nodeSelector"] == {"spot": "true"}
    assert SPOT not in pod(cluster, "scheduler")["tolerations"]
    assert "nodeSelector" not in pod(cluster, "scheduler")
    for role in ("scheduler", "worker"):
        lost = {
            one["key"]: one.get("tolerationSeconds") for one in pod(cluster, role)["tolerations"]
        }
        assert lost["node.kubernetes.io/not-ready"] == 5
        assert lost["node.kubernetes.io/unreachable"] == 5


def test_the_policy_lets_in_the_clusters_own_pods_and_the_operator() -> None:
    spec = documents()["NetworkPolicy"]["spec"]
    own = {"matchLabels": {"dask.org/cluster-name": "my-pods"}}
    assert spec["podSelector"] == own
    assert spec["ingress"][0]["from"] == [{"podSelector": own}]
    [operator] = spec["ingress"][1]["from"]
    assert "dask-kubernetes-operator" in str(operator)
    assert len(spec["ingress"]) == 2


def test_a_key_is_written_to_a_secret_only_and_by_default_not_at_all() -> None:
    factory = Factory("dask_kubernetes.operator", "KubeCluster")
    security = Security.temporary()
    found = manifest(Profile("pods", factory), security=security)
    validate(found)
    assert {one["kind"] for one in found if "PRIVATE KEY" in str(one)} == {"Secret"}
    cluster = found[-1]
    assert variables(cluster, "worker")["DASK_SCHEDULER_ADDRESS"] == "tls://pods-scheduler:8786"
    assert "PRIVATE KEY" not in dumps(manifest(Profile("pods", factory)))


def test_what_is_written_is_read_as_the_same() -> None:
    found = list(documents(adapt=Adapt(1, 2)).values())
    text = dumps(found)
    assert list(yaml.safe_load_all(text)) == found
    assert "&" not in text, "people are to read it"


# -- what is wrong


def change(path: str, value: Any) -> Callable[[Document], None]:
    """Set what a path leads to."""

    def done(document: Any) -> None:
        *steps, last = [int(one) if one.isdecimal() else one for one in path.split(".")]
        for step in steps:
            document = document[step]
        document[last] = value

    return done


CONTAINER = "spec.worker.spec.containers.0"


@pytest.mark.parametrize(
    ("done", "says"),
    [
        (change(f"{CONTAINER}.image", 3), "spec.worker.spec.containers[0].image: 3 is not of type"),
        (change(f"{CONTAINER}.imagge", "x"), "spec.worker.spec.containers[0]: Additional"),
        (change("spec.worker.replicas", "two"), "spec.worker.replicas: 'two' is not of type"),
        (change("spec.worker.spec.nodeSelector", ["spot"]), "spec.worker.spec.nodeSelector: "),
        (change("spec.scheduler", {}), "spec.scheduler: 'spec' is a required property"),
        (
            change("spec.worker.spec.tolerations.2.effect", "NoShedule"),
            "spec.worker.spec.tolerations[2].effect: 'NoShedule' is none of NoSchedule",
        ),
        (
            change("spec.worker.spec.tolerations.2.tolerationSeconds", 3),
            "tolerations[2].tolerationSeconds: only the effect NoExecute",
        ),
        (
            change(f"{CONTAINER}.resources.requests.memory", "4 GB"),
            "containers[0].resources.requests.memory: '4 GB' is not a quantity",
        ),
        (change("metadata.name", "x" * 54), "metadata.name: 54 letters are too many"),
        (change("metadata.name", "My_pods"), "metadata.name: 'My_pods' is not of small letters"),
    ],
)
def test_a_mistake_is_one_line_with_its_field(done: Callable[[Document], None], says: str) -> None:
    found = documents()
    done(found["DaskCluster"])
    with pytest.raises(ClusterError) as caught:
        validate(list(found.values()))
    line = str(caught.value)
    assert line.startswith("DaskCluster ")
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize("amount", ["1", "0.5", ".5", "500m", "4Gi", "1e3", "2E", 3, 1.5])
def test_quantities_are_taken_as_kubernetes_takes_them(amount: Any) -> None:
    validate([documents(kwargs={"resources": {"limits": {"memory": amount}}})["DaskCluster"]])


# -- the operator


def test_helm_is_given_values_that_its_chart_has() -> None:
    chart = files("dask_kubernetes.operator").joinpath(
        "deployment/helm/dask-kubernetes-operator/values.yaml"
    )
    known = yaml.safe_load(chart.read_text())
    assert set(values("team")) <= set(known)
    assert values("team")["rbac"].keys() <= known["rbac"].keys()
    assert values("team")["kopfArgs"] == ["--namespace=team"]
    assert "rbac" not in values()


def test_the_command_that_installs_it_has_a_version() -> None:
    command = install("team", "values.yaml")
    assert command.startswith("helm install --repo https://helm.dask.org --namespace team")
    assert " --values values.yaml " in command
    assert " --version 20" in command
