"""Clusters of a dask-gateway: its server starts and ends them, wherever that is.

What a cluster may have is decided there, so the server is asked before anything starts. It does not
know the host, and may let an abandoned cluster run for ever: the scheduler itself sees to that.
"""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

from aiohttp import ClientError, ClientResponseError, ContentTypeError
from dask_gateway import Gateway, GatewayClusterError, GatewayServerError
from dask_gateway.client import ClusterStatus, GatewayWarning
from distributed import Client

from jupyter_scale.clusters.backend import Backend, reason
from jupyter_scale.clusters.limits import ClusterError, check_workers, counted
from jupyter_scale.clusters.profiles import Adapt

__all__ = ["GatewayCluster"]

BEAT = "5s"  # how often this process says that it lives
LIMIT = re.compile(r"limit of (\d+) workers")


class GatewayCluster(Backend):
    """A cluster that a dask-gateway runs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._gateway: Any = None
        self._name = ""
        self._client: Client | None = None
        self._asking, self._ended = Lock(), False

    def start(self) -> None:
        super().start()
        self._guard(self.cluster)  # while the first workers start

    def factory(self) -> Any:
        return self._start

    def _start(
        self,
        address: str | None = None,
        proxy_address: str | int | None = None,
        public_address: str | None = None,
        auth: Any = None,
        cluster_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Any:
        """Do what the class does, with its parameters, but so that it can be given up meanwhile."""
        self._gateway = gateway = _connect(address, proxy_address, public_address, auth)
        warnings.simplefilter("error", GatewayWarning)  # it gives less than was asked for
        wanted = {**self._asked(), **(cluster_options or {}), **options}
        with _clear(gateway):
            self._check(wanted)
            with self._asking:
                if self._ended:
                    raise ClusterError("it was closed")
                self._name = gateway.submit(**wanted)
            return gateway.connect(self._name, shutdown_on_close=True)

    def _asked(self) -> dict[str, Any]:
        """Return what the profile says in words of its own; gateways call it the same, or not."""
        environment = dict(self.profile.environment)
        named = {"image": self.profile.image, "environment": environment}
        return {name: value for name, value in named.items() if value}

    def _check(self, wanted: Mapping[str, Any]) -> None:
        try:
            offered = self._gateway.cluster_options(use_local_defaults=False)
        except (ValueError, KeyError, ContentTypeError):
            raise ClusterError(
                f"What answers at {self._gateway.address} is no dask-gateway: is gateway.address "
                "right in Dask's configuration?"
            ) from None
        for name, value in wanted.items():
            try:
                offered[name] = value
            except KeyError:
                near = difflib.get_close_matches(name, offered, n=1)
                meant = f", did you mean {near[0]}?" if near else ";"
                known = f"there are {', '.join(offered)}" if len(offered) else "there are none"
                raise ClusterError(
                    f"The gateway has no cluster option {name!r}{meant} {known}"
                ) from None
            except (TypeError, ValueError) as error:
                text = str(error).replace(".000000", "")
                raise ClusterError(f"The cluster option {name!r} cannot be that: {text}") from None

    def _guard(self, cluster: Any) -> None:
        """Have the scheduler end the cluster when this process does not live any more."""
        address = cluster.scheduler_address
        try:
            self._client = client = Client(
                address, security=cluster.security, heartbeat_interval=BEAT, set_as_default=False
            )
        except (OSError, TimeoutError) as error:
            raise ClusterError(
                f"The gateway has started a scheduler, which does not answer at {address}: "
                f"{reason(error)}; is gateway.proxy-address right in Dask's configuration?"
            ) from None
        # One that runs no functions of others is left to the gateway's idle timeout.
        with suppress(ValueError):
            client.run_on_scheduler(_guard(client.id, self.profile.lost_timeout), wait=False)

    def words(self) -> str:
        if not self._name:
            return "waiting for the gateway's answer" if self._gateway is not None else ""
        try:
            status = self._gateway.get_cluster(self._name).status
        except (OSError, TimeoutError, ValueError, ClientError, GatewayServerError) as error:
            return f"the gateway does not answer: {reason(error)}"
        if status is ClusterStatus.PENDING:
            return "waiting for the gateway to start the scheduler"
        if status is ClusterStatus.RUNNING:
            return "waiting for the gateway to start workers"
        if status is ClusterStatus.STOPPING:  # how it ends is not known before it has
            return "the gateway is ending it"
        raise ClusterError(_ended(self._name, status.name.lower()))

    def scale(self, workers: int) -> None:
        check_workers(workers, "%scale to")
        self._allow(workers, workers)
        with _clear(self._gateway):
            super().scale(workers)

    def adapt(self, between: Adapt) -> None:
        check_workers(between.maximum, "%scale adapt")
        self._allow(between.minimum, between.maximum)
        with _clear(self._gateway):
            super().adapt(between)

    def _allow(self, minimum: int, maximum: int) -> None:
        """Ask whether the gateway would give as many workers: it starts none for that."""
        cluster, before = self.cluster, self.adapted
        with _clear(self._gateway):
            try:
                cluster.adapt(minimum=minimum, maximum=maximum, active=False)
            except GatewayWarning as warning:
                if before is not None and (minimum, maximum) != (before.minimum, before.maximum):
                    cluster.adapt(minimum=before.minimum, maximum=before.maximum)
                found = LIMIT.search(str(warning))
                raise ClusterError(
                    f"{counted(maximum, 'worker')} are more than the gateway lets one cluster have"
                    f"{f': ask for at most {found[1]}' if found else ''}"
                ) from None

    def close(self) -> None:
        with self._asking:
            self._ended = True
        if self._name:
            self._gateway.stop_cluster(self._name)


def _connect(address: Any, proxy: Any, public: Any, auth: Any) -> Any:
    try:
        return Gateway(address, proxy, public, auth)
    except ValueError as error:
        raise ClusterError(
            f"{reason(error)}: where the gateway is, and who you are there, is said by "
            "gateway.address and gateway.auth in Dask's configuration"
        ) from None


@contextmanager
def _clear(gateway: Any) -> Iterator[None]:
    """Say in a line what the gateway, or the way to it, has against a request."""
    where = f"the gateway at {gateway.address}"
    try:
        yield
    except ClientResponseError as error:
        said = f"{error.status} {error.message}"
        if error.status != 401:
            raise ClusterError(f"{where} answers {said}") from None
        name = getattr(gateway.auth, "username", None)
        whom = f"the user {name!r} with this password" if name else "you"
        raise ClusterError(
            f"{where} does not let in {whom} ({said}): set gateway.auth in Dask's configuration"
        ) from None
    except (OSError, TimeoutError, ClientError) as error:
        raise ClusterError(
            f"{where} does not answer: {reason(error)}; is gateway.address right in Dask's "
            "configuration, and reachable from here?"
        ) from None
    except (ValueError, GatewayClusterError, GatewayServerError) as error:
        raise ClusterError(f"{where} says: {reason(error)}") from None


def _ended(name: str, state: str) -> str:
    return f"the gateway has ended its cluster ({state}): the gateway's logs of {name} say why"


def _guard(client: str, patience: float) -> Callable[..., Awaitable[None]]:
    """Return what the scheduler runs; a function inside another travels whole, not by its name."""

    async def guard(dask_scheduler: Any) -> None:
        import asyncio

        seen, missed = 0.0, 0
        # Not by the clock: while the scheduler is blocked, it hears from nobody.
        while missed < patience:
            await asyncio.sleep(1)
            known = dask_scheduler.clients.get(client)
            last = known.last_seen if known is not None else seen
            seen, missed = (last, 0) if last > seen else (seen, missed + 1)
        try:
            await dask_scheduler.services["gateway"].gateway.shutdown()
        except Exception:  # a gateway of another age notices that its scheduler is gone
            await dask_scheduler.close()

    return guard
