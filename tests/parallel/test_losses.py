"""Workers that are lost at each moment of a training, and what else ends it halfway.

Nothing here may wait for a timeout: those of a training and of Dask are longer than the test's own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from distributed import Client
from losses import planted, wait
from regression import PLACES, SEED, X, assert_equal, fit, places, running, slowly, y
from workers import started

from jupyter_scale.parallel import Context, Training, TrainingError, launch, shards, train

PATIENCE = {"timeout": 600.0, "checkpoint_every": 0.0, "seed": SEED}
long = pytest.mark.long


def assert_idle(client: Client) -> None:
    """Wait until no rank is left: promptly, or the test's timeout ends it."""
    while any(client.run(running).values()):
        pass


@pytest.fixture(autouse=True)
def _both(client: Client) -> None:
    client.wait_for_workers(2)


@pytest.mark.parametrize(
    ("moment", "rank"),
    [
        ("others wait for it", 1),
        *(
            pytest.param(moment, rank, marks=long)
            for moment, rank in [
                ("the store is opened", 0),
                ("torch is imported", 1),
                ("the data have come", 0),
                ("the data have come", 1),
                ("others wait for it", 0),
                ("all have met", 0),
                ("all have met", 1),
                ("the model is sent", 1),
                ("a step", 0),
                ("a step", 1),
                ("a checkpoint", 0),
                ("a later checkpoint", 0),
                ("the last checkpoint of an epoch", 0),
                ("its function has ended", 1),
                ("it returns", 0),
                ("it returns", 1),
            ]
        ),
    ],
)
def test_a_lost_worker_is_no_difference(
    client: Client, alone: dict[str, Any], moment: str, rank: int
) -> None:
    planted(client, moment, [rank])
    run = train(fit, (X, y), client=client, **PATIENCE)
    assert (run.status, run.restarts) == ("done", 1)
    assert_equal(run.values, alone)
    assert places(run) == PLACES
    assert_idle(client)


@long
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_is_lost_while_data_are_sent(
    client: Client, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    processes = client.run(os.getpid)
    divided = shards.Here.divided

    def lost(self: shards.Here, client: Client, workers: Any) -> Any:
        monkeypatch.undo()
        made = divided(self, client, workers) if when == "after" else None
        os.kill(processes[workers[1]], signal.SIGKILL)
        return made or divided(self, client, workers)

    monkeypatch.setattr(shards.Here, "divided", lost)
    run = train(fit, (X, y), client=client, **PATIENCE)
    assert (run.status, run.restarts) == ("done", 1)
    assert_equal(run.values, alone)
    assert places(run) == PLACES


@long
@pytest.mark.parametrize("moment", ["others wait for it", "a step"])
def test_all_workers_are_lost_at_once(client: Client, alone: dict[str, Any], moment: str) -> None:
    planted(client, moment, [0, 1])
    run = train(fit, (X, y), client=client, **PATIENCE)
    assert run.status == "done"
    assert run.restarts in (1, 2)  # seen together, or one after the other
    assert_equal(run.values, alone)
    assert places(run) == PLACES


@long
def test_a_worker_that_stands_still_holds_nobody_once_it_is_given_up(
    client: Client, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine that has lost its network: no connection is closed."""
    monkeypatch.setattr(launch, "BACK", 1.0)
    address, number = max(client.run(os.getpid).items())
    process = psutil.Process(number)

    async def remove(dask_scheduler: Any) -> None:
        await dask_scheduler.remove_worker(address, stimulus_id="test", close=False)

    def give_up() -> None:
        while process.status() != psutil.STATUS_STOPPED:
            wait()
        client.run_on_scheduler(remove)

    planted(client, "a step stops", [1])
    scheduler = threading.Thread(target=give_up, daemon=True)
    scheduler.start()
    try:
        run = train(fit, (X, y), client=client, **PATIENCE)
    finally:
        process.kill()
    scheduler.join()
    assert (run.status, run.restarts, run.world_size) == ("done", 1, 1)
    assert_equal(run.values, alone)
    assert places(run) == PLACES


@long
def test_an_interrupt_while_workers_are_waited_for(client: Client, alone: dict[str, Any]) -> None:
    seen = []

    def show(training: Training) -> None:
        seen.append(training.status)
        if training.status == "restarting":
            signal.raise_signal(signal.SIGINT)

    planted(client, "a step", [1])
    with pytest.raises(KeyboardInterrupt):
        train(fit, (X, y), client=client, show=show, **PATIENCE)
    assert seen[-1] == "interrupted"
    assert_idle(client)
    client.wait_for_workers(2)
    assert_equal(train(fit, (X, y), client=client, **PATIENCE).values, alone)


class Unreadable:
    """Cannot be read in the worker of a rank."""

    def __init__(self, address: str) -> None:
        self.address = address

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return refuse, (self.address,)


def refuse(address: str) -> None:
    from distributed import get_worker

    if get_worker().address == address:
        raise ImportError("no module is there that this needs")


def test_a_function_that_one_rank_cannot_read_keeps_no_other(client: Client) -> None:
    needed = Unreadable(max(client.nthreads()))

    def wrong(context: Context) -> Any:
        return needed

    with pytest.raises(TrainingError, match=r"wrong failed on rank 1 of 2 .*no module is there"):
        train(wrong, client=client, **PATIENCE)
    assert_idle(client)


def test_a_process_that_took_the_place_of_a_worker_is_no_rank(
    client: Client, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a worker comes back under its address."""
    places_of = launch.places

    def other(*args: Any) -> Any:
        monkeypatch.undo()
        first, second = places_of(*args)
        return [first, replace(second, process=second.process + 1)]

    monkeypatch.setattr(launch, "places", other)
    run = train(fit, (X, y), client=client, **PATIENCE)
    assert (run.status, run.restarts, run.world_size) == ("done", 1, 2)
    assert_equal(run.values, alone)


@long
def test_a_lost_worker_costs_the_steps_since_the_last_checkpoint(
    client: Client, alone: dict[str, Any], tmp_path: Path
) -> None:
    da = pytest.importorskip("dask.array")
    data = da.from_array(X, chunks=(20, 5)), da.from_array(y, chunks=20)
    options = {"client": client, **PATIENCE, "checkpoint": tmp_path / "run.checkpoint"}
    killed: list[int] = []

    def show(training: Training) -> None:
        if not killed and options["checkpoint"].exists() and len(training.history) >= 3:
            _, process = min(client.run(os.getpid).items())  # that of rank 0
            killed.append(process)
            os.kill(process, signal.SIGKILL)

    run = train(slowly, data, show=show, **options)
    assert killed
    assert (run.status, run.restarts) == ("done", 1)
    assert "goes on from epoch" in run.events[0]
    assert_equal(run.values, alone)
    assert places(run) == PLACES
    # a training that is done has nothing to do, in any process
    again = train(fit, data, **options)
    assert not again.history
    assert_equal(again.values, alone)


@long
def test_workers_that_do_not_come_back_are_not_needed(
    alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "BACK", 1.0)
    with started(2) as (cluster, client):

        def show(training: Training) -> None:
            if training.history and training.world_size == 2:
                cluster.scale(1)

        run = train(slowly, (X, y), client=client, show=show, **PATIENCE)
    assert (run.status, run.restarts, run.world_size) == ("done", 1, 1)
    assert_equal(run.values, alone)
    assert places(run) == PLACES
