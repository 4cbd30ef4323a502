"""Trainings on a real cluster: equal to one process, and ended properly whatever happens."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client
from distributed import Event as DaskEvent
from regression import (
    PLACES,
    SEED,
    SIZE,
    X,
    assert_equal,
    fit,
    loss_of,
    parts,
    places,
    running,
    torch,
    y,
)

from jupyter_scale.parallel import Context, Training, TrainingError, attempt, train


def test_any_number_of_ranks_equals_one_process(client: Client, alone: dict[str, Any]) -> None:
    losses = []
    for world_size in (1, 2):
        run = train(fit, (X, y), client=client, world_size=world_size, seed=SEED)
        assert (run.status, run.world_size, run.backend) == ("done", world_size, "gloo")
        assert len(run.values) == world_size
        assert_equal(run.values, alone)
        losses.append([one.values["loss"] for one in run.history if "loss" in one.values])
        assert places(run) == PLACES
    np.testing.assert_allclose(*losses, rtol=1e-4)


def frames() -> tuple[Any, Any]:
    pd, dd = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    table = pd.DataFrame(X).assign(y=y)
    frame = dd.concat([dd.from_pandas(table[:90], npartitions=1), dd.from_pandas(table[90:], 1)])
    return frame[list(range(5))], frame["y"]


def arrays() -> tuple[Any, Any]:
    da = pytest.importorskip("dask.array")
    chunks = (1, 70, 2, 30)
    return da.from_array(X, chunks=(chunks, 2)), da.from_array(y, chunks=(chunks,))


def one_partition() -> list[Any]:
    from dask.delayed import delayed

    return [delayed((X, y))]


@pytest.mark.parametrize(
    "data", [pytest.param(frames, marks=pytest.mark.long), arrays, one_partition]
)
def test_shards_need_not_be_even(
    client: Client, alone: dict[str, Any], data: Callable[[], Any]
) -> None:
    run = train(fit, data(), client=client, seed=SEED)
    assert run.world_size == 2
    assert_equal(run.values, alone)


def test_a_run_is_repeated_to_the_last_bit(client: Client) -> None:
    def draws(context: Context) -> Any:
        model = torch.nn.Sequential(
            torch.nn.Linear(5, 8), torch.nn.Dropout(), torch.nn.Linear(8, 1)
        )
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        context.prepare(model=model, optimizer=optimizer)
        for _ in context.epochs(2):
            for batch in context.batches(SIZE):
                context.backward(loss_of(model, *batch))
                optimizer.step()
        return model[0].weight.detach().numpy(), float(torch.rand(()))

    first, again = (train(draws, (X, y), client=client, seed=1).values for _ in range(2))
    assert np.array_equal(first[0][0], again[0][0])
    assert [value[1] for value in first] == [value[1] for value in again]
    assert first[0][1] != first[1][1], "ranks do not drop the same"


def test_threads_are_the_workers_and_nothing_is_left(client: Client) -> None:
    def look(context: Context) -> Any:
        return torch.get_num_threads(), context.rank, context.world_size

    def left(dask_worker: Any) -> Any:
        import torch.distributed as dist

        from jupyter_scale.parallel import rank

        return dist.is_initialized(), len(rank._jobs), len(rank._stores), torch.get_num_threads()

    before = client.run(torch.get_num_threads)
    assert train(look, client=client).values == [(1, 0, 2), (1, 1, 2)]
    for address, found in client.run(left).items():
        assert found == (False, 0, 0, before[address])


def test_a_bad_function_is_one_error_with_its_cause(client: Client) -> None:
    def bad(context: Context) -> None:
        if context.rank == 1:
            raise LookupError("no such layer")
        context.report(x=1.0)

    with pytest.raises(TrainingError, match=r"bad failed on rank 1 of 2 .*no such layer") as caught:
        train(bad, client=client)
    cause = caught.value.__cause__
    assert type(cause) is LookupError
    assert "in bad" in cause.__notes__[0]
    assert "rank.py" not in cause.__notes__[0]


def test_an_exchange_that_others_do_not_join_ends(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "GRACE", 0.5)

    def apart(context: Context) -> None:
        if context.rank == 0:
            context.report(x=1.0)
        else:
            threading.Event().wait(3)

    with pytest.raises(TrainingError, match="waited in vain for the others"):
        train(apart, client=client, timeout=1)
    assert train(fit, (X, y), client=client).status == "done"


class Interrupts:
    """Interrupts the main thread once some steps are reported."""

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.last: Training | None = None

    def __call__(self, training: Training) -> None:
        self.last = training
        if training.status == "running" and len(training.history) >= self.steps:
            self.steps = 10**9
            signal.raise_signal(signal.SIGINT)


def test_an_interrupt_ends_all_ranks(client: Client) -> None:
    def endless(context: Context) -> None:
        model, optimizer = parts()
        context.prepare(model=model, optimizer=optimizer)
        for _ in context.epochs(10**6):
            for batch in context.batches(SIZE):
                context.backward(loss_of(model, *batch))
            while context.rank and context.epoch == 20:
                pass  # hears of nothing

    show = Interrupts(7 * 21)
    with pytest.raises(KeyboardInterrupt):
        train(endless, (X, y), client=client, show=show)
    assert show.last is not None
    assert show.last.status == "interrupted"
    assert len(show.last.history) >= 7 * 21
    deadline = time.monotonic() + 60  # the slowest machine
    while any(client.run(running).values()):
        assert time.monotonic() < deadline


def test_what_cannot_be_is_a_line(client: Client, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="world_size=3, but there are 2 worker processes"):
        train(fit, (X, y), client=client, world_size=3)
    with pytest.raises(TrainingError, match="The data have 103 and 102 rows"):
        train(fit, (X, y[1:]), client=client)
    with pytest.raises(TrainingError, match="The data hold a str: give arrays"):
        train(fit, ("X", "y"), client=client)
    (tmp_path / "other").write_text("something else")
    with pytest.raises(TrainingError, match="holds no checkpoint of jupyter-scale"):
        train(fit, (X, y), client=client, checkpoint=tmp_path / "other")
    lock = threading.Lock()
    with pytest.raises(TrainingError, match=r"cannot be sent to the workers: .*lock"):
        train(lambda context: lock, client=client)
    with pytest.raises(TrainingError, match="cannot be computed: no rows today"):
        train(fit, [_failing()], client=client)


def _failing() -> Any:
    from dask.delayed import delayed

    def read() -> Any:
        raise OSError("no rows today")

    return delayed(read)()


def held() -> None:
    DaskEvent("free").wait(60)


def test_workers_that_are_busy_are_said(client: Client) -> None:
    free = DaskEvent("free", client=client)
    futures = [client.submit(held, workers=[w], pure=False) for w in client.nthreads()]
    with pytest.raises(TrainingError, match=r"has not begun within timeout=0\.3 seconds"):
        train(fit, (X, y), client=client, timeout=0.3)
    free.set()
    client.gather(futures)


@pytest.mark.parametrize("missing", ["data", "model"])
def test_what_was_forgotten_is_said(client: Client, missing: str) -> None:
    def wrong(context: Context) -> None:
        if missing == "data":
            next(context.batches(4))
        context.backward(torch.zeros((), requires_grad=True), rows=1)

    said = {"data": "train.. was given no data", "model": r"prepare\(model=\.{3}\) before"}
    with pytest.raises(TrainingError, match=said[missing]):
        train(wrong, client=client)
