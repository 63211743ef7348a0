"""``understudy doctor``: everything that a run needs, examined, with plain advice."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from understudy.doctor import folders, launcher, programs, resources
from understudy.doctor.finding import Finding, findings_text
from understudy.errors import InputError
from understudy.planning.costs import estimates
from understudy.planning.studies import read_configuration, read_profile, study_works
from understudy.provenance.fingerprint import REPOSITORY


def examined(configuration: Any, profile: dict[str, Any], project: Path) -> list[Finding]:
    """All findings.

    Parameters
    ----------
    configuration : the whole, validated one.
    profile : settings of a Snakemake profile; empty without.
    project : folder in which Snakemake runs.
    """
    costs = estimates(configuration, study_works(configuration))
    execution = configuration.execution
    on_cluster = profile.get("executor") == "slurm"
    found = [
        programs.python(),
        programs.packages(REPOSITORY),
        programs.compiler(),
        launcher.mpi(execution.launcher),
        *launcher.scheduler(profile.get("slurm-status-command") if on_cluster else "squeue"),
        resources.gpu(execution.device),
    ]
    # Ranks on a cluster are spread over nodes whose memory this machine does not know.
    found.append(resources.memory(costs, 1 if on_cluster else execution.ranks))
    found += resources.disk(costs, project / "results" / configuration.run)
    found += folders.workflow(project)
    found += folders.writable(project, configuration.run)
    found += folders.locked(project)
    found += folders.metadata(project)
    return found


def run(arguments: Namespace) -> int:
    """Print the findings; 1 where one is a problem, else 0.

    Raises
    ------
    InputError
        If the profile is none.
    """
    project = Path.cwd()
    profile = read_profile(arguments.profile) if arguments.profile is not None else {}
    try:
        configuration = read_configuration(arguments.configuration, over=profile.get("config", {}))
        found = [Finding("configuration", "good", f"run {configuration.run}: {', '.join(configuration.studies)}")]
        found += examined(configuration, profile, project)
    except InputError as error:
        found = [Finding("configuration", "problem", str(error), "mend it; config/reference.md has all keys")]
    if arguments.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        print(findings_text(found))
    return int(any(finding.state == "problem" for finding in found))
