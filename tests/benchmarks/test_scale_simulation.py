"""The simulated cluster does every piece of work once, and the same each time."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import scale_simulation
import task_costs
from distributed import Client
from side_by_side import Timing, merged
from simulated_cluster import Simulation
from simulated_parts import Costs, Outcome
from simulated_work import Policy, Work, grid

FREE = Costs(0, 0, 0, 0, 0, 0, 0, 0, 0)


def run(work: Work, workers: int, costs: Costs | None = None, seed: int = 0) -> Outcome:
    return Simulation(work, workers, costs, seed).run()


@pytest.fixture(scope="module")
def work() -> Work:
    return grid([4, 3], 10)


@pytest.mark.parametrize("workers", [1, 3, 16, 100])
@pytest.mark.parametrize("losses", [0.0, 60.0])
def test_every_leaf_and_every_node_once(work: Work, workers: int, losses: float):
    outcome = run(work, workers, replace(Costs(), losses_per_hour=losses))
    assert scale_simulation.conserved(outcome) == []
    assert outcome.useful == pytest.approx(work.seconds)
    assert 0 < outcome.efficiency < 1
    assert (outcome.losses > 0) == (losses > 0)
    assert losses or outcome.wasted == 0


def test_the_same_seed_gives_the_same_run(work: Work):
    costs = replace(Costs(), losses_per_hour=60.0)
    first, again, other = (run(work, 8, costs, seed) for seed in (1, 1, 2))
    assert asdict(first) == asdict(again)
    assert first.makespan != other.makespan


def test_one_worker_without_costs_takes_the_time_of_the_work(work: Work):
    assert run(work, 1, FREE).makespan == pytest.approx(work.seconds)
    assert run(work, 1, FREE).efficiency == pytest.approx(1.0)


def test_costs_make_it_longer(work: Work):
    free = run(work, 4, FREE).makespan
    for name in ("worker_task", "worker_start", "latency", "scheduler_task", "client_task"):
        assert run(work, 4, replace(FREE, **{name: 1.0})).makespan > free, name


def test_a_worker_drops_what_is_no_longer_needed(work: Work):
    simulation = Simulation(work, 4)
    outcome = simulation.run()
    assert simulation.holders == {}
    assert all(not worker.held for worker in simulation.workers.values())
    assert 0 < outcome.most_nodes <= outcome.most_nodes_together < len(work.plan.nodes)


def test_jobs_of_the_policy_are_those_of_the_plan(work: Work):
    policy = Policy(work)
    cells, nodes = [], []
    while not policy.finished:
        job = policy.next(2)
        assert job is not None
        cells += job.cells
        nodes += job.nodes
        assert job.seconds == pytest.approx(
            work.nodes[job.nodes].sum() + work.cells[job.cells].sum()
        )
        policy.done(job)
    assert sorted(cells) == list(range(len(work.plan.cells)))
    assert sorted(nodes) == list(range(len(work.plan.nodes)))


def test_the_program_prints_what_it_simulated(capsys: pytest.CaptureFixture[str]):
    arguments = ["--quick", "--leaves", "500", "--leaf-seconds", "1", "--on", "2", "--json"]
    assert scale_simulation.main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert {run["workers"] for run in found["values"]["runs"]} == {1, 16}
    assert len(found["rows"]) == 1 + len(found["values"]["runs"])


@pytest.mark.long
def test_a_real_run_does_the_work_that_is_simulated(client: Client):
    search, X, y = scale_simulation.sleeping_search(0.02)
    work = scale_simulation.work_of(search, X, y)
    assert (len(work.nodes), len(work.cells)) == (18, 216)
    report = merged(search, X, y, Timing(), client)
    assert report.fits_done == 18 + 216
    assert report.seconds_spent >= work.seconds


@pytest.mark.long
def test_costs_are_measured():
    costs = task_costs.measured(tasks=20, transfers=1, megabytes=1)
    for name in ("scheduler_task", "client_task", "latency", "byte", "worker_start"):
        assert 0 < getattr(costs, name) < 60, name
