"""Studies on the tests' SLURM: the profile as a site fills it in, what was submitted, and what came of it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import REPOSITORY, Project
from one_node import ACCOUNT, PARTITION, OneNode, missing

sys.path.insert(0, str(REPOSITORY / "benchmarks"))

from finished_work import content, differences

PROFILE = ("--workflow-profile", "profiles/slurm")
# What depends on how many ranks a run was made with, beside measured times, which are left out anyway.
_OF_THE_RANKS = re.compile(r"(deployment|white_matter_cost)\.json: \.(direct_)?ranks$")


@contextmanager
def running_node(folder: Path, *, accounting: bool = False, cores: int = 2) -> Iterator[OneNode]:
    """A running one-node SLURM; what the machine lacks for it skips the test."""
    reason = missing(accounting)
    if reason is not None:
        pytest.skip(reason)
    with OneNode(folder, accounting=accounting, cores=cores) as running:
        yield running


def fill_in(project: Project, *, accounting: bool = False, retries: int = 0, **execution: Any) -> None:
    """Edit the copy's profile as a site would, with waiting times for one machine."""
    path = project.folder / "profiles/slurm/config.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["config"]["execution"] |= execution
    settings["default-resources"] = {"slurm_partition": PARTITION} | ({"slurm_account": ACCOUNT} if accounting else {})
    settings |= {"retries": retries, "latency-wait": 5, "slurm-init-seconds-before-status-checks": 1}
    if accounting:
        settings["slurm-status-command"] = "sacct"
    path.write_text(yaml.safe_dump(settings))


@contextmanager
def submitted(project: Project, *arguments: str, log: Path) -> Iterator[subprocess.Popen]:
    """Snakemake on the cluster in the background, its output in ``log``; ended where the body leaves it running."""
    snakemake = str(Path(sys.executable).parent / "snakemake")
    with open(log, "w") as stream:
        process = subprocess.Popen(
            [snakemake, *PROFILE, "--verbose", *arguments],
            cwd=project.folder,
            env=project.environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(timeout=120)


def on_cluster(project: Project, *arguments: str, log: Path, timeout: float = 1500) -> tuple[int, str]:
    """Exit status and output of Snakemake on the cluster."""
    with submitted(project, *arguments, log=log) as process:
        status = process.wait(timeout=timeout)
    return status, log.read_text()


def sbatch_lines(output: str) -> dict[str, list[list[str]]]:
    """Rule -> options of each of its sbatch calls, without the wrapped command."""
    found: dict[str, list[list[str]]] = {}
    for line in re.findall(r"sbatch call: (sbatch .*?) --wrap=", output):
        words = shlex.split(line)
        rule = words[words.index("--comment") + 1].removeprefix("rule_").partition("_wildcards_")[0]
        found.setdefault(rule, []).append(words)
    return found


def job_numbers(output: str) -> list[str]:
    """SLURM's numbers of the submitted jobs, in order."""
    return re.findall(r"has been submitted with SLURM jobid (\d+)", output)


def records(run_folder: Path) -> dict[str, dict[str, Any]]:
    """Program and first output -> provenance record."""
    found = [json.loads(path.read_text()) for path in sorted(run_folder.rglob("*.prov.json"))]
    return {f"{each['program']} {each['outputs'][0]['path']}": each for each in found}


def different(expected: Path, found: Path) -> list[str]:
    """Entries of results that differ between two run folders."""
    return [name for name in differences(content(expected), content(found)) if _OF_THE_RANKS.search(name) is None]
