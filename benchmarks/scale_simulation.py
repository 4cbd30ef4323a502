"""How the search would run on up to a thousand workers: its real schedule, simulated machines.

    python benchmarks/scale_simulation.py --check

The engine's own `Schedule` and window hand out the tasks of plans of any size; client, scheduler
and workers are simulated with costs that were measured (`--measure` measures them here and uses
them). Efficiency is useful seconds of workers / (workers x wall time), the start of workers
included. `--validate` runs small searches of sleeping estimators on real local workers and
compares their wall time with the simulated one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from recipes import SleepingModel, SleepingStep
from side_by_side import Claim, Result, Row, Timing, local_cluster, merged, parser, program
from simulated_cluster import Simulation
from simulated_parts import Costs, Outcome
from simulated_work import Work, grid
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from task_costs import measured

import jupyter_scale
from jupyter_scale.search.backend import PlanOnly

EXAMPLES = """\
  python benchmarks/scale_simulation.py --check
  python benchmarks/scale_simulation.py --leaves 1000000 --on 256
  python benchmarks/scale_simulation.py --leaf-seconds 0.01 10 --on 16 256
  python benchmarks/scale_simulation.py --losses-per-hour 1 --on 64
  python benchmarks/scale_simulation.py --measure --validate --check"""

NAMED = 256  # workers, for the promise about efficiency
REAL = (1, 2, 4)  # local workers
FOLDS = 5
HEAD = (
    "leaves", "each", "workers", "efficiency", "wall", "tasks", "scheduler", "at most", "client",
    "nodes a worker", "on one", "lost", "policy",
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Simulate, print, and return 1 when a promise is not kept."""
    asked = parser("Simulate the schedule on large clusters.", examples=EXAMPLES, rounds=5)
    add = asked.add_argument
    add("--leaves", type=int, default=100_000, help="cells of the plan (default: %(default)s)")
    add("--leaf-seconds", type=float, nargs="+", default=[1.0, 0.05, 10.0], metavar="S")
    add("--on", type=int, nargs="+", default=[1, 16, 256, 1000], metavar="WORKERS")
    add("--losses-per-hour", type=float, default=0.0, help="of each worker (default: none)")
    add("--measure", action="store_true", help="measure the costs of a task here, and use them")
    add("--validate", action="store_true", help="compare with real runs on 1, 2 and 4 workers")
    options = asked.parse_args(argv)
    if options.quick:
        options.leaves, options.on, options.rounds = min(options.leaves, 2000), [1, 16], 1
    return program(options, measure)


def measure(options: argparse.Namespace) -> Result:
    """Simulate every size asked for."""
    costs = measured(tasks=100 if options.quick else 2000) if options.measure else Costs()
    costs = replace(costs, losses_per_hour=options.losses_per_hour)
    result = Result(f"{options.leaves:,} leaves: simulated with the engine's schedule", rows=[HEAD])
    result.notes = [f"costs: {', '.join(f'{k} {v:.3g}' for k, v in asdict(costs).items())}"]
    result.values = {"costs": asdict(costs), "runs": []}
    for seconds in options.leaf_seconds:
        work = plan_of(options.leaves, seconds)
        for workers in options.on:
            outcome = _simulate(result, work, workers, costs, seconds)
            result.claims += list(_claims(outcome, seconds))
    result.claims.append(_memory(options, costs, result))
    if options.validate:
        validate(result, costs, rounds=options.rounds, quick=options.quick)
    return result


def plan_of(leaves: int, seconds: float) -> Work:
    """Return a grid of about so many leaves: two steps before the final one, 20 leaves a node."""
    nodes = max(2, round(leaves / FOLDS / 20))
    first = max(1, round(nodes**0.5))
    return grid([first, -(-nodes // first)], 20, node_seconds=2 * seconds, leaf_seconds=seconds)


def _simulate(result: Result, work: Work, workers: int, costs: Costs, seconds: float) -> Outcome:
    simulation = Simulation(work, workers, costs)
    outcome = simulation.run()
    result.problems += conserved(outcome)
    policy = simulation.policy
    each = policy.seconds / max(1, policy.calls)
    result.rows.append(_row(outcome, seconds, each))
    numbers = {k: v for k, v in asdict(outcome).items() if k not in ("cells", "nodes")}
    result.values["runs"].append(
        {"leaves": len(work.plan.cells), "leaf_seconds": seconds, "policy_seconds": each, **numbers}
    )
    return outcome


def conserved(outcome: Outcome) -> list[str]:
    """Return what a simulation did twice or not at all."""
    wrong = []
    if set(outcome.cells) - {1}:
        wrong.append(f"on {outcome.workers} workers not every leaf came back once")
    if set(outcome.nodes) - {1}:
        wrong.append(f"on {outcome.workers} workers not every node was made once")
    return wrong


def _row(outcome: Outcome, seconds: float, policy: float) -> Row:
    return (
        f"{len(outcome.cells):,}",
        f"{seconds:g} s",
        f"{outcome.workers:,}",
        f"{outcome.efficiency:.1%}",
        f"{outcome.makespan:,.1f} s",
        f"{outcome.tasks:,}",
        f"{outcome.scheduler:.1%}",
        f"{outcome.scheduler_peak:.1%}",
        f"{outcome.client:.1%}",
        f"{outcome.most_nodes_together / outcome.workers:.1f}",
        str(outcome.most_nodes),
        str(outcome.losses),
        f"{1e6 * policy:.0f} us",
    )


def _claims(outcome: Outcome, seconds: float) -> Iterator[Claim]:
    on = f"{outcome.workers} simulated workers, {seconds:g} s leaves"
    if seconds == 1 and outcome.workers == NAMED:
        yield Claim.at_least(f"{on}: efficiency", 100 * outcome.efficiency, 90, " %")
    yield Claim.at_most(f"{on}: scheduler busy", 100 * outcome.scheduler_peak, 50, " %")


def _memory(options: argparse.Namespace, costs: Costs, result: Result) -> Claim:
    """Compare made nodes on one worker with an eighth of the prefixes."""
    workers = 16
    most = []
    for prefixes in (8, 64):
        work = grid([prefixes], 20, node_seconds=2.0)
        most.append(_simulate(result, work, workers, costs, 1.0).most_nodes)
    claim = f"{workers} simulated workers: nodes held with 64 prefixes / with 8"
    return Claim.at_most(claim, most[1] / most[0], 1.5)


def validate(result: Result, costs: Costs, *, rounds: int, quick: bool) -> None:
    """Compare real runs with their simulation."""
    scale = 0.1 if quick else 1.0
    rows: list[str] = []
    for workers in REAL:
        search, X, y = sleeping_search(scale)
        work = work_of(search, X, y)
        here = replace(costs, worker_start=0.0, data_bytes=1e4, node_bytes=1e4, losses_per_hour=0.0)
        expected = Simulation(work, workers, here).run().makespan
        with local_cluster(workers) as client:
            merged(sleeping_search(0.0)[0], X, y, Timing(), client)
            real = [merged(search, X, y, Timing(), client).seconds for _ in range(rounds)]
        took = statistics.median(real)
        error = 100 * abs(expected / took - 1)
        rows.append(f"{workers} real: {took:.2f} s, simulated {expected:.2f} s")
        result.claims.append(
            Claim.at_most(f"{workers} real workers: error of the simulation", error, 15, " %")
        )
    result.notes += rows
    result.values["validation"] = rows


def sleeping_search(scale: float) -> tuple[GridSearchCV, Any, Any]:
    """Return a search whose fits sleep for known times, and its data."""
    random = np.random.default_rng(0)
    nodes, leaves = (random.uniform(*span, 6) * scale for span in ((0.2, 0.6), (0.05, 0.25)))
    pipeline = Pipeline([("step", SleepingStep()), ("model", SleepingModel())])
    parameters = {
        "step__seconds": nodes.tolist(),
        "model__seconds": leaves.tolist(),
        "model__setting": [0, 1],
    }
    X = random.normal(size=(100, 4))
    return GridSearchCV(pipeline, parameters, cv=3, refit=False), X, np.arange(100) % 2


def work_of(search: GridSearchCV, X: Any, y: Any) -> Work:
    """Return the real plan of a search of sleeping estimators, with its durations."""
    try:
        with jupyter_scale.merged(plan_only=True):
            search.fit(X, y)
    except PlanOnly as planned:
        plan = planned.plan
    parameters = [cell.parameters or {} for cell in plan.cells]
    return Work(
        plan,
        np.array([parameters[node.cell]["step__seconds"] for node in plan.nodes]),
        np.array([own["model__seconds"] for own in parameters]),
    )


if __name__ == "__main__":
    sys.exit(main())
