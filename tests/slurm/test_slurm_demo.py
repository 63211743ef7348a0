"""The demo of all three studies through sbatch and srun, with accounting and without: as submitted, as computed by
`make demo`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster_run import different, fill_in, job_numbers, on_cluster, records, running_node, sbatch_lines
from conftest import REPOSITORY, Project, copy_project
from one_node import ACCOUNT, PARTITION, OneNode

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(3600)]

CONFIGURATION = ("--configfile", "config/demo.yaml")
MPI_RULES = {
    "build_cells",
    "compare_channels",
    "design_waves",
    "map_directions",
    "measure_noise_floor",
    "measure_threshold_noise",
    "simulate_axons",
    "simulate_courses",
    "simulate_fields",
    "simulate_hybrid",
    "simulate_impacts",
    "simulate_thresholds",
    "simulate_variant",
    "simulate_white_matter",
    "train_receptors",
}


@dataclass(frozen=True)
class Demo:
    """A finished demo, what Snakemake printed, and the SLURM that it ran on."""

    project: Project
    output: str
    node: OneNode
    ranks: int

    @property
    def run(self) -> Path:
        return self.project.folder / "results/demo"


# Without accounting on more ranks than `make demo` had, and than a small machine has cores: ranks must not be cut to
# what the first node has, nor decide a result.
@pytest.fixture(scope="module", params=[(True, 2), (False, 3)], ids=["accounting", "no_accounting"])
def demo(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    accounting, ranks = request.param
    folder = tmp_path_factory.mktemp("demo")
    with running_node(folder / "slurm", accounting=accounting, cores=ranks) as node:
        project = copy_project(folder / "project")
        fill_in(project, accounting=accounting, ranks=ranks)
        status, output = on_cluster(project, *CONFIGURATION, log=folder / "cluster.log", timeout=3500)
        assert status == 0, output[-5000:]
        yield Demo(project, output, node, ranks)


def test_jobs_are_submitted_as_meant(demo: Demo) -> None:
    lines = sbatch_lines(demo.output)
    assert lines.keys() > MPI_RULES and {"verify_tms", "train_surrogate", "write_report"} < lines.keys()
    for rule, calls in lines.items():
        for words in calls:
            assert words[words.index("-p") + 1] == PARTITION and int(words[words.index("-t") + 1]) > 0, words
            mpi = rule in MPI_RULES
            assert f"--ntasks={demo.ranks if mpi else 1}" in words, words
            assert ("--mem-per-cpu" if mpi else "--mem") in words, words
            assert f"--cpus-per-task={2 if rule == 'map_injury' else 1}" in words, words
            assert not any(word.startswith(("--gpus", "--gres")) for word in words), words
            account = [words[at + 1] for at, word in enumerate(words) if word == "-A"]
            assert account == ([ACCOUNT] if demo.node.accounting else []), words


def test_every_rank_was_there(demo: Demo) -> None:
    """What each program's communicator counted, beside what SLURM had given it."""
    found = records(demo.run).values()
    assert {each["program"] for each in found} > MPI_RULES
    numbers = job_numbers(demo.output)
    for record in found:
        slurm, mpi = record["environment"]["slurm"], record["notes"].get("mpi")
        assert slurm["SLURM_JOB_ID"] in numbers
        assert (mpi is not None) == (record["program"] in MPI_RULES), record["program"]
        if mpi is not None:
            assert mpi["requested"] == mpi["size"] == demo.ranks, record["program"]
            assert slurm["SLURM_NTASKS"] == str(demo.ranks), record["program"]
    assert len({record["environment"]["slurm"]["SLURM_JOB_ID"] for record in found}) == len(numbers)


def test_every_job_is_accounted_for(demo: Demo) -> None:
    if not demo.node.accounting:
        asked = demo.node.command("sacct", "--noheader", check=False)
        assert not asked
        return
    numbers = job_numbers(demo.output)
    fields = ("JobID", "State", "Account", "Partition", "AllocCPUS", "Comment")
    text = demo.node.command(
        *("sacct", "--noheader", "--parsable2", "--allocations", f"--jobs={','.join(numbers)}"),
        f"--format={','.join(fields)}",
    )
    rows = [line.split("|") for line in text.splitlines()]
    assert [row[0] for row in rows] == sorted(numbers, key=int)
    assert {tuple(row[1:4]) for row in rows} == {("COMPLETED", ACCOUNT, PARTITION)}
    cores = {row[5].removeprefix("rule_"): int(row[4]) for row in rows}
    assert {rule: count for rule, count in cores.items() if rule in MPI_RULES} == dict.fromkeys(
        MPI_RULES & cores.keys(), demo.ranks
    )


def test_a_finished_demo_has_nothing_to_do_and_audits_clean(demo: Demo) -> None:
    for where in (("--workflow-profile", "profiles/slurm"), ("--cores", "2")):
        again = demo.project.run("snakemake", *where, *CONFIGURATION)
        assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr
    audited = demo.project.run("understudy", "audit", "results/demo")
    assert audited.returncode == 0, audited.stdout


def test_results_equal_those_of_one_machine(demo: Demo) -> None:
    here = REPOSITORY / "results/demo"
    ours, theirs = records(demo.run), records(here) if here.exists() else {}
    same = [name for name in ours if name in theirs and _made_of(ours[name]) == _made_of(theirs[name])]
    # `make test-slurm` makes the demo first.
    assert len(same) == len(ours), f"found {len(same)} of {len(ours)} results of this code; accepted is after make demo"
    assert different(here, demo.run) == []


def _made_of(record: dict) -> tuple[str, str]:
    return record["code"]["fingerprint"], record["parameters_sha256"]
