import pytest
from dask.system import CPU_COUNT

from jupyter_scale.clusters import ClusterError, Size, fit_size
from jupyter_scale.clusters.limits import usable

GIB = 2**30


def test_default_is_one_thread_per_worker_and_one_worker_per_cpu() -> None:
    assert fit_size(cpus=4, machine=8 * GIB) == Size(4, 1, 2 * GIB)


def test_threads_take_their_cpus_from_the_workers() -> None:
    assert fit_size(threads=2, cpus=4, machine=8 * GIB) == Size(2, 2, 4 * GIB)


def test_memory_is_that_of_each_worker() -> None:
    assert fit_size(2, memory="1.5GiB", cpus=4, machine=8 * GIB) == Size(2, 1, int(1.5 * GIB))


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ({"workers": 0}, "--workers 0: a cluster needs at least 1"),
        ({"workers": -3}, "at least 1 worker"),
        ({"threads": 0}, "--threads 0: a worker needs at least 1"),
        ({"workers": 10_000}, "too many for the 4 CPUs"),
        ({"workers": 4, "threads": 100}, "use at most 16 in all, best 4"),
        ({"memory": "2 bananas"}, "'2 bananas' is not an amount of memory; write it as 2GiB"),
        ({"memory": ""}, "is not an amount of memory"),
        ({"memory": "-1GiB"}, "at least 256.00 MiB"),
        ({"memory": "nan"}, "is not an amount of memory"),
        ({"memory": "1e999GiB"}, "is not an amount of memory"),
        ({"memory": "2"}, "a plain number means bytes"),
        ({"memory": "6GiB", "workers": 2}, "more than the 8.00 GiB of this machine"),
        ({"memory": "6GiB", "workers": 2}, "--memory 4096MiB"),
    ],
)
def test_a_bad_wish_is_one_line_with_the_remedy(wish: dict[str, object], says: str) -> None:
    with pytest.raises(ClusterError) as raised:
        fit_size(**wish, cpus=4, machine=8 * GIB)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_machine_with_little_memory_carries_few_workers() -> None:
    with pytest.raises(ClusterError, match="use at most 2"):
        fit_size(4, cpus=4, machine=GIB // 2)


def test_a_size_reads_well() -> None:
    assert str(Size(1, 2, GIB)) == "1 worker with 2 threads and 1.00 GiB each"


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"CPU_LIMIT": "1.7"}, 1),
        ({"CPU_LIMIT": "0.1"}, 1),
        ({"CPU_LIMIT": "many"}, CPU_COUNT),
        ({"CPU_LIMIT": "10000"}, CPU_COUNT),
        ({}, CPU_COUNT),
    ],
)
def test_cpus_follow_the_hub(variables: dict[str, str], expected: int) -> None:
    assert usable(variables)[0] == expected


def test_memory_follows_the_hub_and_leaves_some_to_the_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MEM_LIMIT", str(2 * GIB))
    monkeypatch.setenv("CPU_LIMIT", "1")
    assert fit_size() == Size(workers=1, threads=1, memory=2 * GIB * 7 // 8)
    with pytest.raises(ClusterError, match=r"more than the 1\.75 GiB"):
        fit_size(1, memory="2GiB")
