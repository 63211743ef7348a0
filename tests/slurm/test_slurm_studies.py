"""The three studies through sbatch and srun, without accounting: as submitted, as computed on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster_run import TINY, different, fill_in, job_numbers, on_cluster, records, running_node, sbatch_lines
from conftest import Project, copy_project
from one_node import OneNode

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(1800)]

# More than the cores of a small machine: ranks must not be cut to what the first node has.
RANKS = 3
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
class Studies:
    """A finished run on the cluster (``tiny_studies``) beside one on this machine (``tiny_local``)."""

    project: Project
    output: str

    @property
    def run(self) -> Path:
        return self.project.folder / "results/tiny_studies"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneNode]:
    with running_node(tmp_path_factory.mktemp("slurm"), cores=4) as running:
        yield running


@pytest.fixture(scope="module")
def studies(node: OneNode, tmp_path_factory: pytest.TempPathFactory) -> Studies:
    project = copy_project(tmp_path_factory.mktemp("studies") / "project")
    fill_in(project, ranks=RANKS)
    status, output = on_cluster(project, "--configfile", *TINY, log=project.folder / "cluster.log")
    assert status == 0, output[-5000:]
    return Studies(project, output)


def test_results_equal_those_of_one_machine(studies: Studies) -> None:
    local = studies.project.run(
        "snakemake", "--cores", "2", "--configfile", *TINY, "--config", "run=tiny_local", timeout=1500
    )
    assert local.returncode == 0, local.stdout + local.stderr
    assert different(studies.project.folder / "results/tiny_local", studies.run) == []


def test_jobs_are_submitted_as_meant(studies: Studies) -> None:
    lines = sbatch_lines(studies.output)
    assert lines.keys() > MPI_RULES and {"verify_tms", "train_surrogate", "write_report"} < lines.keys()
    for rule, calls in lines.items():
        for words in calls:
            assert words[words.index("-p") + 1] == "debug" and int(words[words.index("-t") + 1]) > 0, words
            mpi = rule in MPI_RULES
            assert f"--ntasks={RANKS if mpi else 1}" in words, words
            assert ("--mem-per-cpu" if mpi else "--mem") in words, words
            assert f"--cpus-per-task={2 if rule == 'map_injury' else 1}" in words, words
            assert not any(word.startswith(("-A", "--gpus", "--gres")) for word in words), words


def test_every_rank_was_there(studies: Studies) -> None:
    found = {each["program"]: each for each in records(studies.run).values()}
    assert found.keys() > MPI_RULES
    for program in MPI_RULES:
        record = found[program]
        assert record["notes"]["mpi"]["requested"] == record["notes"]["mpi"]["size"] == RANKS, program
        assert record["environment"]["slurm"]["SLURM_NTASKS"] == str(RANKS), program
        assert record["environment"]["slurm"]["SLURM_JOB_ID"] in job_numbers(studies.output), program


def test_a_finished_run_has_nothing_to_do_and_audits_clean(studies: Studies) -> None:
    for where in (("--workflow-profile", "profiles/slurm"), ("--cores", "2")):
        again = studies.project.run("snakemake", *where, "--configfile", *TINY)
        assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr
    audited = studies.project.run("understudy", "audit", "results/tiny_studies")
    assert audited.returncode == 0, audited.stdout
