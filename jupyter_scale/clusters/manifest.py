"""A profile as Kubernetes knows it: what the Dask operator makes a cluster of, checked offline.

A `DaskCluster`, a `DaskAutoscaler` where the profile adapts, and a `NetworkPolicy` that keeps other
pods out. What a
profile's ``factory.kwargs`` say as for KubeCluster goes before ours; two more are for workers only:
``tolerations`` and ``node-selector``, as for spot machines.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import dask
import yaml
from distributed import Security

from jupyter_scale.clusters.limits import ClusterError
from jupyter_scale.clusters.profiles import Profile, variable
from jupyter_scale.clusters.threads import VARIABLES

__all__ = ["Document", "dumps", "install", "manifest", "validate", "values"]

Document = dict[str, Any]

CLUSTER = "dask.org/cluster-name"
OPERATOR = "dask-kubernetes-operator"
CHARTS = "https://helm.dask.org"
LONGEST = 53  # letters of a cluster's name: NAME-scheduler is a host's name
PORTS = (8786, 8787)  # where a scheduler listens: for Dask, and for the operator's questions
EVICTION = 5  # seconds after which the pods of a lost node are given up; Kubernetes waits for 300
API = "distributed.http.scheduler.api"
# Without that route the operator sends code that has a scheduler close after five idle minutes.
ROUTES = "distributed.scheduler.http.routes"


def manifest(
    profile: Profile, *, name: str = "", namespace: str = "", security: Security | None = None
) -> list[Document]:
    """Return what a profile is in Kubernetes.

    Parameters
    ----------
    profile : Profile
    name : str, optional
        Of the cluster; the profile's otherwise.
    namespace : str, optional
        Where it is to be; left to whoever applies it otherwise.
    security : Security, optional
        The cluster's own certificate, as PEM: it becomes a `Secret`.

    Raises
    ------
    ClusterError
        When dask-kubernetes is not installed.
    """
    name = name or slug(profile.factory.kwargs.get("name") or profile.name)
    documents = [policy(name)]
    if security is not None:
        documents.append(secret(name, security))
    documents.append(cluster(profile, name, encrypted=security is not None))
    if profile.adapt is not None:
        spec = {"cluster": name, "minimum": profile.adapt.minimum, "maximum": profile.adapt.maximum}
        documents.append(_document("kubernetes.dask.org/v1", "DaskAutoscaler", name, spec=spec))
    if namespace:
        for document in documents:
            document["metadata"]["namespace"] = namespace
    return copy.deepcopy(documents)  # what is changed in them is not changed in the profile


def cluster(profile: Profile, name: str, *, encrypted: bool = False) -> Document:
    """Return a profile's `DaskCluster`."""
    operator = _operator()  # its import completes Dask's configuration
    kwargs = profile.factory.kwargs
    resources = _written(_of(profile, "resources") or {})
    spec: Document = operator.make_cluster_spec(
        name,
        image=kwargs.get("image") or profile.image or dask.config.get("kubernetes.image"),
        n_workers=_workers(profile),
        resources=resources,
        scheduler_service_type=_of(profile, "scheduler_service_type"),
        idle_timeout=int(kwargs.get("idle_timeout", profile.idle_timeout)),
        jupyter=bool(kwargs.get("jupyter", False)),
    )
    spec["metadata"]["labels"] = {CLUSTER: name}
    pods = {role: spec["spec"][role]["spec"] for role in ("scheduler", "worker")}
    for pod in pods.values():
        pod["tolerations"] = [_lost(state) for state in ("not-ready", "unreachable")]
        pod["automountServiceAccountToken"] = False  # no task needs to talk to Kubernetes
        if encrypted:
            pod["containers"][0]["envFrom"] = [{"secretRef": {"name": name}}]
    _complete_scheduler(pods["scheduler"]["containers"][0], profile, encrypted)
    _complete_worker(pods["worker"]["containers"][0], profile, resources)
    if encrypted:  # the operator would have its workers connect without a certificate
        address = {"name": "DASK_SCHEDULER_ADDRESS", "value": f"tls://{name}-scheduler:{PORTS[0]}"}
        pods["worker"]["containers"][0]["env"].append(address)
    pods["worker"]["tolerations"] += kwargs.get("tolerations", [])
    if kwargs.get("node_selector"):
        pods["worker"]["nodeSelector"] = dict(kwargs["node_selector"])
    return spec


def _complete_scheduler(container: Document, profile: Profile, encrypted: bool) -> None:
    # distributed ships no program "dask-scheduler" any more, which the operator's own spec names
    container["args"] = ["dask", "scheduler", *container["args"][1:]]
    if encrypted:
        container["args"] += ["--protocol", "tls"]
    routes = [*dask.config.get(ROUTES), API]
    container["env"] = _environment({variable(ROUTES): json.dumps(routes)}, profile)


def _complete_worker(container: Document, profile: Profile, resources: Mapping[str, Any]) -> None:
    command = profile.factory.kwargs.get("worker_command")
    if isinstance(command, str):
        command = command.split()
    threads = max(1, int(_cpus(resources)))
    container["args"] = [
        *(command or ["dask", "worker", "--nthreads", str(threads)]),
        *("--name", "$(DASK_WORKER_NAME)", "--no-dashboard"),
    ]
    del container["ports"]  # its dashboard's
    one = dict.fromkeys(VARIABLES, "1")
    container["env"] = _environment(one, profile, profile.environment)


def _environment(
    ours: Mapping[str, str], profile: Profile, more: Mapping[str, str] | None = None
) -> list[Document]:
    """Return the variables of a container; what the user has set goes before ours."""
    settings = {
        variable(key): value if isinstance(value, str) else repr(value)
        for key, value in profile.config.items()
        if not key.startswith("kubernetes.")  # meant for KubeCluster here
    }
    plain = {**ours, **settings, **(more or {})}
    found: dict[str, Document] = {
        name: {"name": name, "value": value} for name, value in plain.items()
    }
    theirs = _of(profile, "env") or {}
    if isinstance(theirs, Mapping):
        theirs = [{"name": name, "value": str(value)} for name, value in theirs.items()]
    return list({**found, **{entry["name"]: dict(entry) for entry in theirs}}.values())


def _workers(profile: Profile) -> int:
    if profile.adapt is not None:
        return profile.adapt.minimum
    wanted = profile.workers
    return wanted if wanted is not None else int(profile.factory.kwargs.get("n_workers", 1))


def _of(profile: Profile, argument: str) -> Any:
    """Return an argument of KubeCluster, from the profile or Dask's configuration."""
    kwargs = profile.factory.kwargs
    return kwargs.get(argument, dask.config.get(f"kubernetes.{argument.replace('_', '-')}", None))


def _written(resources: Mapping[str, Any]) -> Document:
    """Return resources with their quantities as text, which the operator's definitions ask for."""
    return {
        part: {name: str(amount) for name, amount in amounts.items()}
        if isinstance(amounts, Mapping)
        else amounts
        for part, amounts in resources.items()
    }


def _lost(state: str) -> Document:
    return {
        "key": f"node.kubernetes.io/{state}",
        "operator": "Exists",
        "effect": "NoExecute",
        "tolerationSeconds": EVICTION,
    }


def policy(name: str) -> Document:
    """Return a `NetworkPolicy`: a cluster's pods hear each other and the operator, nobody else.

    A port-forward is not held up by it: that comes by way of the API server and the node.
    """
    own = {"matchLabels": {CLUSTER: name}}
    operator = {"matchLabels": {"app.kubernetes.io/name": OPERATOR}}
    spec = {
        "podSelector": own,
        "policyTypes": ["Ingress"],
        "ingress": [
            {"from": [{"podSelector": own}]},
            {
                "from": [{"namespaceSelector": {}, "podSelector": operator}],
                "ports": [{"protocol": "TCP", "port": port} for port in PORTS],
            },
        ],
    }
    return _document("networking.k8s.io/v1", "NetworkPolicy", name, spec=spec)


def secret(name: str, security: Any) -> Document:
    """Return the `Secret` by which a cluster's scheduler and workers know each other."""
    found = {"distributed.comm.require-encryption": "true"}
    found["distributed.comm.tls.ca-file"] = security.tls_ca_file
    for role in ("scheduler", "worker", "client"):
        for part in ("cert", "key"):
            found[f"distributed.comm.tls.{role}.{part}"] = getattr(security, f"tls_{role}_{part}")
    data = {variable(key): value for key, value in found.items()}
    return _document("v1", "Secret", name, type="Opaque", stringData=data)


def _document(version: str, kind: str, name: str, **rest: Any) -> Document:
    metadata = {"name": name, "labels": {CLUSTER: name}}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def slug(text: str, longest: int = LONGEST) -> str:
    """Return a text as a name that Kubernetes takes.

    Examples
    --------
    >>> slug("My_cluster ")
    'my-cluster'
    """
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return plain[:longest].strip("-") or "dask"


def dumps(documents: list[Document]) -> str:
    """Return documents as YAML, as ``kubectl apply -f`` reads it."""
    text: str = yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=100)
    return text


class _Plain(yaml.SafeDumper):  # type: ignore[misc]
    """Writes what is there twice out twice."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


# -- the operator


def values(namespace: str = "") -> Document:
    """Return the values with which Helm installs the operator.

    Parameters
    ----------
    namespace : str, optional
        The only one that it is to look after, and have rights in; all otherwise.
    """
    found: Document = {
        "resources": {
            "requests": {"cpu": "100m", "memory": "256Mi"},
            "limits": {"memory": "512Mi"},
        }
    }
    if namespace:
        found["rbac"] = {"cluster": False}
        found["kopfArgs"] = [f"--namespace={namespace}"]
    return found


def install(namespace: str = "", file: str = "") -> str:
    """Return the command that installs the operator, of the version that is installed here."""
    number = version("dask-kubernetes") if find_spec("dask_kubernetes") else ""
    words = [
        f"helm install --repo {CHARTS}",
        f"--namespace {namespace}" if namespace else "--namespace dask-operator",
        "--create-namespace",
        f"--version {number}" if number else "",
        f"--values {file}" if file else "",
        f"{OPERATOR} {OPERATOR}",
    ]
    return " ".join(filter(None, words))


# -- what is wrong

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
QUANTITY = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?\d+)?")


def validate(documents: list[Document], *, definitions: bool = True) -> None:
    """Check documents as the API server would, without one.

    Against the definitions that come with dask-kubernetes, unknown fields included, and what those
    leave open: effects of tolerations, the length of names, how quantities are written.

    Raises
    ------
    ClusterError
        At the first mistake: one line with the document, the field and what helps.
    """
    for document in documents:
        for field, wrong in _mistakes(document, definitions):
            name = document.get("metadata", {}).get("name", "")
            raise ClusterError(f"{document.get('kind')} {name}: {field}: {wrong}")


def _mistakes(document: Document, definitions: bool) -> Iterator[tuple[str, str]]:
    kind, name = document.get("kind", ""), str(document.get("metadata", {}).get("name", ""))
    if not NAME.fullmatch(name):
        yield "metadata.name", f"{name!r} is not of small letters, digits and hyphens"
    if kind == "DaskCluster" and len(name) > LONGEST:
        yield "metadata.name", f"{len(name)} letters are too many: use at most {LONGEST}"
    validator = _validator(kind) if definitions else None
    if validator is not None:
        best = import_module("jsonschema.exceptions").best_match
        error = best(validator.iter_errors({"spec": {}, **document, "metadata": {}}))
        if error is not None:
            yield _field(error.absolute_path), _short(error.message)
    if kind != "DaskCluster":
        return
    for role in ("scheduler", "worker"):
        pod = document.get("spec", {}).get(role, {}).get("spec", {})
        for field, wrong in _open(pod):
            yield f"spec.{role}.spec.{field}", wrong


def _open(pod: Document) -> Iterator[tuple[str, str]]:
    """Find what the definitions say nothing of."""
    for index, toleration in enumerate(pod.get("tolerations", [])):
        field = f"tolerations[{index}]"
        effect = toleration.get("effect")
        if effect and effect not in EFFECTS:
            yield f"{field}.effect", f"{effect!r} is none of {', '.join(EFFECTS)}"
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            yield f"{field}.tolerationSeconds", "only the effect NoExecute has one"
    for index, container in enumerate(pod.get("containers", [])):
        for part in ("requests", "limits"):
            for what, amount in ((container.get("resources") or {}).get(part) or {}).items():
                if not QUANTITY.fullmatch(str(amount)):
                    field = f"containers[{index}].resources.{part}.{what}"
                    yield field, f"{amount!r} is not a quantity: write it as 2, 500m or 4Gi"


def _cpus(resources: Mapping[str, Any]) -> float:
    """Return how many CPUs a worker is promised, or may have; 1 where nothing is said."""
    for part in ("requests", "limits"):
        text = str((resources.get(part) or {}).get("cpu", ""))
        if re.fullmatch(r"\d+(\.\d+)?m?", text):
            return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
    return 1.0


def _field(path: Any) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".") or "its top level"


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) < 200 else f"{text[:100]} ... {text[-90:]}"


@cache
def _validator(kind: str) -> Any:
    """Return what checks documents of a kind; None for one that the operator does not define."""
    path = files(_operator().__package__).joinpath(
        f"deployment/helm/{OPERATOR}/crds/{kind.lower()}.yaml"
    )
    if not kind or not path.is_file():
        return None
    try:
        jsonschema = import_module("jsonschema")  # takes a second
    except ModuleNotFoundError:
        raise ClusterError("Checking a manifest needs jsonschema: pip install jsonschema") from None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # six thousand lines
    definition = yaml.load(path.read_text(encoding="utf-8"), Loader=loader)["spec"]
    return jsonschema.Draft7Validator(_schema(definition["versions"][0]["schema"]))


def _schema(definition: Any) -> Any:
    """Return a definition of Kubernetes as JSON schema."""
    found = _converted(definition["openAPIV3Schema"])
    found["properties"].update({name: {} for name in ("apiVersion", "kind", "metadata", "status")})
    return found


def _converted(part: Any) -> Any:
    if isinstance(part, list):
        return [_converted(one) for one in part]
    if not isinstance(part, dict):
        return part
    found = {
        key: {name: _converted(one) for name, one in value.items()}
        if key == "properties"
        else _converted(value)
        for key, value in part.items()
        if key not in ("default", "description", "format", "nullable")
    }
    if part.get("x-kubernetes-int-or-string"):
        found.pop("type", None)
        found["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if "properties" in part and not part.get("x-kubernetes-preserve-unknown-fields"):
        found.setdefault("additionalProperties", False)
    return found


def _operator() -> Any:
    try:
        return import_module("dask_kubernetes.operator")
    except ModuleNotFoundError:
        raise ClusterError(
            "Clusters on Kubernetes need dask-kubernetes: pip install dask-kubernetes"
        ) from None
