"""Kills at random moments over the three studies: the short version of `make test-faults`, and what it counts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Project

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from faults import WRONG, Tally, compare  # noqa: E402
from finished_work import Finished, content, differences  # noqa: E402
from finished_work import finished as finished_now  # noqa: E402


def test_what_is_made_again_lost_or_doubled_is_counted() -> None:
    before = Finished(
        {"a.prov.json": "1"}, {"b.prov.json": "2"}, {("k", 0): [b"x"], ("k", 1): [b"y"]}, {"m.pt": (1, 2)}
    )
    tally = Tally()
    compare(before, before, tally)
    assert not any(getattr(tally, name) for name in WRONG)
    after = Finished({"a.prov.json": "9", "b.prov.json": "3"}, {}, {("k", 0): [b"x", b"x"]}, {"m.pt": (1, 3)})
    compare(before, after, tally)
    assert {name: getattr(tally, name) for name in WRONG} == {
        "jobs_made_again": 1,
        "cases_lost": 1,
        "cases_doubled": 1,
        "pieces_made_again": 1,
        "different_results": 0,
        "survivors": 0,
    }
    assert tally.jobs_not_yet_noted == 1


def test_results_are_compared_by_entry_and_measured_seconds_are_not(tmp_path: Path) -> None:
    def write(name: str, **values: object) -> None:
        (tmp_path / "axon").mkdir(exist_ok=True)
        (tmp_path / "axon" / name).write_text(json.dumps(values))

    write("deployment.json", seconds=1.0, n=3)
    write("noise_floor.json", r2={"tau": 0.9}, rows=[{"a": 1}, {"a": 2}])
    first = content(tmp_path)
    write("deployment.json", seconds=2.0, n=3)
    assert differences(first, content(tmp_path)) == []
    write("noise_floor.json", r2={"tau": 0.9}, rows=[{"a": 1}, {"a": 3}])
    write("deployment.json", seconds=2.0, n=4)
    assert differences(first, content(tmp_path)) == ["axon/deployment.json: .n", "axon/noise_floor.json: .rows.1.a"]


def test_a_job_that_snakemake_has_not_noted_is_told_apart(tmp_path: Path) -> None:
    run = tmp_path / "results/tiny"
    run.mkdir(parents=True)
    for name in ("done", "begun", "gone"):
        (run / f"{name}.h5").touch()
        record = {"job": name, "outputs": [{"path": f"{name}.h5"}]}
        (run / f"{name}.h5.prov.json").write_text(json.dumps(record))
    (run / "gone.h5").unlink()
    markers = tmp_path / ".snakemake/incomplete"
    markers.mkdir(parents=True)
    (markers / "cmVzdWx0cy90aW55L2JlZ3VuLmg1").touch()  # results/tiny/begun.h5 as Snakemake writes it
    found = finished_now(tmp_path, run)
    assert found.jobs == {"done.h5.prov.json": "done"} and found.unnoted == {"begun.h5.prov.json": "begun"}


def kills_change_nothing(study: str, kills: int, undisturbed: Path, tmp_path: Path) -> None:
    """Kills at random moments on the way to a study's metrics; `make test-faults` makes fifty over all rules."""
    target = f"{study}/surrogate/metrics.json"
    words = ["--rounds", kills, "--studies", study, "--targets", target, "--against", undisturbed]
    words += ["--keep", tmp_path / "killed", "--json", tmp_path / "figures.json"]
    command = [sys.executable, BENCHMARKS / "faults.py", *words]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "figures.json").read_text())
    assert sum(found["kills"].values()) == kills and found["runs_finished"] >= 1
    assert found["entries_compared"] > 100
    assert not any(found[name] for name in WRONG), done.stdout
    killed = Project(tmp_path / "killed/project", "smallest.yaml")
    assert killed.planned(f"results/faults/{target}") == set()
    audited = killed.run("understudy", "audit", "results/faults")
    assert audited.returncode == 0, audited.stdout


# Five over the three studies.
@pytest.mark.timeout(1800)
def test_kills_of_axon_change_nothing(finished: Project, tmp_path: Path) -> None:
    kills_change_nothing("axon", 2, finished.folder / "results/tiny", tmp_path)


@pytest.mark.timeout(1800)
def test_kills_of_tms_change_nothing(finished_tms: Project, tmp_path: Path) -> None:
    kills_change_nothing("tms", 1, finished_tms.folder / "results/tiny_tms", tmp_path)


@pytest.mark.timeout(1800)
def test_kills_of_calcium_change_nothing(finished_calcium: Project, tmp_path: Path) -> None:
    kills_change_nothing("calcium", 2, finished_calcium.folder / "results/tiny_calcium", tmp_path)
