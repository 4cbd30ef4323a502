"""Profiles are read from Dask's configuration; what is wrong there is one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask
import pytest
import yaml

from jupyter_scale.clusters.limits import ClusterError
from jupyter_scale.clusters.profiles import Adapt, default, profile, profiles

SLURM = {"module": "dask_jobqueue", "class": "SLURMCluster"}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a configuration file, and have Dask read it again."""

    def write(text: str | dict[str, Any]) -> Path:
        file = tmp_path / "dask" / "jupyter-scale.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text if isinstance(text, str) else yaml.safe_dump(text))
        monkeypatch.setattr(dask.config, "paths", [str(file.parent)])
        before = dask.config.config.copy()
        monkeypatch.setattr(dask.config, "config", before)
        monkeypatch.setattr(dask.config, "global_config", before, raising=False)
        dask.config.refresh(config=before, paths=[str(file.parent)])
        return file

    return write


def test_one_profile_is_there_without_any_file() -> None:
    assert profile().name == default() == "local"
    assert profile().missing == ""
    assert profile().origin == "built in"


def test_a_profile_is_read_from_a_file(written: Any) -> None:
    file = written(
        {
            "jupyter-scale": {
                "default": "hpc",
                "profiles": {
                    "hpc": {
                        "factory": {**SLURM, "kwargs": {"job-extra-directives": ["-C fast"]}},
                        "adapt": {"maximum": 10},
                        "environment": {"OMP_NUM_THREADS": 1},
                    }
                },
            }
        }
    )
    found = profile()
    assert (found.name, found.origin) == ("hpc", str(file))
    assert found.factory.kwargs == {"job_extra_directives": ["-C fast"]}, "as Python spells it"
    assert found.adapt == Adapt(0, 10)
    assert found.size == "0 to 10 workers"
    assert found.environment == {"OMP_NUM_THREADS": "1"}


def test_variables_of_the_environment_override_and_expand(
    written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_JUPYTER_SCALE__PROFILES__MY_HPC__ADAPT__MAXIMUM", "7")
    monkeypatch.setenv("PARTITION", "long")
    factory = {**SLURM, "kwargs": {"queue": "${PARTITION}"}}
    written(
        {"jupyter-scale": {"profiles": {"my-hpc": {"factory": factory, "adapt": {"maximum": 2}}}}}
    )
    found = profile("my-hpc")
    assert found.adapt == Adapt(0, 7)
    assert found.factory.kwargs == {"queue": "long"}
    assert profile("my_hpc") == found
    assert found.origin.startswith("environment variable DASK_JUPYTER_SCALE__PROFILES__MY_HPC")


def test_dasks_own_address_and_the_extensions_factory_are_profiles() -> None:
    theirs = {"module": "dask_jobqueue", "class": "PBSCluster", "kwargs": {}}
    with dask.config.set(
        {"scheduler-address": "tls://10.0.0.1:8786", "labextension.factory": theirs}
    ):
        found = profiles()
    assert found["address"].factory.args == ("tls://10.0.0.1:8786",)
    assert str(found["labextension"].factory) == "dask_jobqueue.PBSCluster"


def test_settings_of_the_record_are_none_of_clusters(written: Any) -> None:
    settings = {
        "record": "beside",
        "predictions": "1 GiB",
        "mlflow": {"uri": "http://127.0.0.1:5000", "experiment": "digits"},
        "callbacks": ["mymodule:function"],
    }
    written({"jupyter-scale": settings})
    assert list(profiles()) == ["local"]


def test_what_has_to_be_installed_is_said() -> None:
    factory = {"module": "dask_nowhere.deep", "class": "Cluster"}
    with dask.config.set({"jupyter-scale.profiles": {"odd": {"factory": factory}}}):
        assert profile("odd").missing == "pip install dask_nowhere"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            {"factory": SLURM, "workers": "many"},
            ["workers", "'many' is not a whole number", "workers: 4"],
        ),
        ({"factory": SLURM, "workers": 10_000}, ["10000 is not 0 to 9999"]),
        ({"factory": SLURM, "worker": 4}, ["no setting 'worker'", "did you mean workers"]),
        ({"factory": SLURM, "workers": 1, "adapt": {"maximum": 2}}, ["both workers and adapt"]),
        ({"factory": {"module": "dask_jobqueue"}}, ["class is missing", "SLURMCluster"]),
        ({"workers": 4}, ["factory is missing"]),
        ({"factory": {"module": "os; x", "class": "A"}}, ["a name that Python could import"]),
        (
            {"factory": SLURM, "adapt": {"minimum": 5, "maximum": 2}},
            ["minimum 5 is more than maximum 2"],
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line_with_the_file_and_the_key(
    table: dict[str, Any], words: list[str], written: Any
) -> None:
    file = written({"jupyter-scale": {"profiles": {"hpc": table}}})
    with pytest.raises(ClusterError) as caught:
        profiles()
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(file), "jupyter-scale.profiles.hpc", *words):
        assert part in message


def test_an_unknown_profile_is_named_with_what_there_is() -> None:
    with pytest.raises(ClusterError, match="no cluster profile 'locl': did you mean local"):
        profile("locl")
