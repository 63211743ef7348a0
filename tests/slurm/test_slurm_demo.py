"""The demo of all three studies through sbatch and srun, with accounting."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from cluster_run import different, fill_in, job_numbers, on_cluster, records, running_node
from conftest import REPOSITORY, Project, copy_project
from one_node import ACCOUNT, OneNode

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(3600)]

DEMO = ("--configfile", "config/demo.yaml")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    with running_node(tmp_path_factory.mktemp("slurm"), accounting=True) as running:
        yield running


@pytest.fixture(scope="module")
def demo(node: OneNode, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """The finished demo and what Snakemake printed."""
    project = copy_project(tmp_path_factory.mktemp("demo") / "project")
    fill_in(project, accounting=True, ranks=2)
    status, output = on_cluster(project, *DEMO, log=project.folder / "cluster.log", timeout=3500)
    assert status == 0, output[-5000:]
    return project, output


def accounts(node: OneNode, numbers: list[str], *fields: str) -> list[list[str]]:
    """``fields`` of each job as the accounting database has them."""
    text = node.command(
        *("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(numbers)}"),
        f"--format={','.join(fields)}",
    )
    return [line.split("|") for line in text.splitlines()]


def test_every_job_is_accounted_for(demo: tuple[Project, str], node: OneNode) -> None:
    project, output = demo
    numbers = job_numbers(output)
    rows = accounts(node, numbers, "JobID", "State", "Account", "Partition", "AllocCPUS", "Comment")
    assert [row[0] for row in rows] == sorted(numbers, key=int)
    assert {tuple(row[1:4]) for row in rows} == {("COMPLETED", ACCOUNT, "debug")}
    cores = {row[5].removeprefix("rule_"): int(row[4]) for row in rows}
    found = records(project.folder / "results/demo").values()
    for record in found:
        mpi = record["notes"].get("mpi")
        number = record["environment"]["slurm"]["SLURM_JOB_ID"]
        assert number in numbers
        if mpi is not None:
            assert mpi["requested"] == mpi["size"] == 2 and record["environment"]["slurm"]["SLURM_NTASKS"] == "2"
            if record["program"] in cores:
                assert cores[record["program"]] == 2
    assert len({record["environment"]["slurm"]["SLURM_JOB_ID"] for record in found}) == len(numbers)


def test_the_demo_audits_clean_and_is_finished(demo: tuple[Project, str]) -> None:
    project, _ = demo
    audited = project.run("understudy", "audit", "results/demo")
    assert audited.returncode == 0, audited.stdout
    again = project.run("snakemake", "--cores", "2", *DEMO)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_results_equal_those_of_one_machine(demo: tuple[Project, str]) -> None:
    """Against ``make demo``, where that has been run with this code."""
    here = REPOSITORY / "results/demo"
    there = demo[0].folder / "results/demo"
    ours, theirs = records(there), records(here) if here.exists() else {}
    same = [name for name in ours if name in theirs and _made_of(ours[name]) == _made_of(theirs[name])]
    if len(same) < len(ours):
        pytest.skip(
            f"found {len(same)} of {len(ours)} results of this code in {os.path.relpath(here)}; `make demo` first"
        )
    assert different(here, there) == []


def _made_of(record: dict) -> tuple[str, str]:
    return record["code"]["fingerprint"], record["parameters_sha256"]
