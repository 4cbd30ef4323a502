"""The training of these tests: a network whose steps only an equal order of batches makes equal."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import numpy as np
import pytest

from jupyter_scale.parallel import Context, Training, batches

torch = pytest.importorskip("torch")

rng = np.random.default_rng(0)
X = rng.normal(size=(103, 5))
y = X @ rng.normal(size=5) + rng.normal(size=103)
EPOCHS, SIZE, SEED = 4, 16, 7
STEPS = [(epoch, step) for epoch in range(EPOCHS) for step in range(7)]
ENDS = [(epoch, 7) for epoch in range(EPOCHS)]
PLACES = sorted([*STEPS, *ENDS])
"""Where `fit` reports something: the loss of each step, and at the end of each epoch."""


def parts() -> tuple[Any, Any]:
    """Make the model; AdamW has momentum and weight decay."""
    torch.manual_seed(3)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    return model, torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)


def loss_of(model: Any, X: Any, y: Any) -> Any:
    return torch.nn.functional.mse_loss(model(X)[:, 0], y)


def fit(context: Context, pause: float = 0.0) -> dict[str, Any]:
    model, optimizer = parts()
    context.prepare(model=model, optimizer=optimizer)
    for _ in context.epochs(EPOCHS):
        for X, y in context.batches(SIZE):
            context.backward(loss_of(model, X, y))
            optimizer.step()
            threading.Event().wait(pause)
        context.report(epoch=context.epoch)
    return {name: value.numpy() for name, value in model.state_dict().items()}


slowly = partial(fit, pause=0.1)
"""Slow enough for something to happen in the middle."""


def one_process() -> dict[str, Any]:
    """Train with plain torch, on the same batches."""
    model, optimizer = parts()
    tensors = torch.tensor(X, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    for epoch in range(EPOCHS):
        for rows in batches(len(X), SIZE, seed=SEED, epoch=epoch):
            optimizer.zero_grad()
            loss_of(model, *(column[rows] for column in tensors)).backward()
            optimizer.step()
    return {name: value.numpy() for name, value in model.state_dict().items()}


def assert_equal(states: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    for state in states:
        for name, value in expected.items():
            np.testing.assert_allclose(state[name], value, rtol=1e-4, atol=1e-5)
    for state in states[1:]:
        assert all(np.array_equal(state[name], states[0][name]) for name in expected)


def places(run: Training) -> list[tuple[int, int]]:
    return [(report.epoch, report.step) for report in run.history]


def running(dask_worker: Any) -> list[str]:
    """Return the ranks in a worker."""
    from jupyter_scale.parallel import rank

    return list(rank._jobs)
