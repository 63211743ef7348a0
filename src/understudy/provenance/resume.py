"""Continue a run whose Snakemake was killed: end what outlived it, unlock the folder, run on."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

from understudy.errors import InputError
from understudy.farm.ownership import live_owners, stop_owner
from understudy.farm.processes import ProcessIdentity
from understudy.provenance.attempts import is_orphan, known_outputs, open_attempts, process_of
from understudy.provenance.processes import left_behind, living_workflows, stop
from understudy.provenance.run_folder import (
    COMMAND_FILE,
    CONFIGURATION_FILE,
    WORK_FOLDER,
    recorded_command,
    require_run_folder,
    snakemake_arguments,
)

Tell = Callable[[str], None]


def latest_run(results: Path) -> Path:
    """The run below ``results`` that was worked on last.

    Raises
    ------
    InputError
        If there is none.
    """

    def last_use(run_folder: Path) -> float:
        traces = [run_folder / COMMAND_FILE, *(run_folder / WORK_FOLDER / "attempts").glob("*.jsonl")]
        return max(path.stat().st_mtime for path in traces)

    runs = [path.parents[1] for path in results.glob(f"*/{COMMAND_FILE}")]
    if not runs:
        raise InputError(f"{results}: found no run; accepted is a folder results/<run> that Snakemake has begun")
    return max(runs, key=last_use)


def _driven(job: str, workflow: ProcessIdentity | None) -> InputError:
    driver = f"Snakemake {workflow.pid}" if workflow is not None else "hand"
    return InputError(f"{job} is running, started by {driver}; accepted is a run that nobody works on: wait or stop it")


def end_orphans(run_folder: Path, tell: Tell) -> int:
    """End jobs of the run whose Snakemake is gone; finished cases stay in their shards.

    Returns
    -------
    How many jobs were ended.

    Raises
    ------
    InputError
        If a job belongs to a living Snakemake, was started by hand, runs on another host, or does not end.
    """
    owners = live_owners(run_folder)
    attempts = open_attempts(run_folder / WORK_FOLDER)
    for owner in owners:
        if not owner.orphan:
            raise _driven(f"{owner.label} (process {owner.pid} on {owner.host})", owner.workflow)
    for line in attempts:
        if not is_orphan(line):
            workflow = ProcessIdentity(**line["workflow"]) if line["workflow"] is not None else None
            raise _driven(f"{line['program']} (process {line['process']['pid']})", workflow)
    for owner in owners:
        tell(f"ending process {owner.pid} ({owner.label}), whose Snakemake is gone; its finished cases are kept")
        stop_owner(owner)
    ended = len(owners)
    for line in attempts:
        process = process_of(line)
        if process.alive():
            tell(f"ending process {process.pid} ({line['program']}), whose Snakemake is gone")
            ended += 1
        if not stop(process):
            raise InputError(f"{run_folder}: process {process.pid} ({line['program']}) does not end; stop it by hand")
    for process in left_behind(run_folder):
        if process.alive():
            tell(f"ending process {process.pid}, whose Snakemake was gone before its job had begun")
            ended += 1
        if not stop(process):
            raise InputError(f"{run_folder}: process {process.pid} does not end; stop it by hand")
    return ended


def _locked(folder: Path) -> bool:
    locks = folder / ".snakemake" / "locks"
    return locks.is_dir() and any(locks.iterdir())


def _bring_times_back(run_folder: Path, tell: Tell) -> None:
    """Give results that bear a time yet to come the present one: Snakemake stops where an input looks newer than what
    is made from it."""
    now = time.time()
    later = [
        path
        for path in run_folder.rglob("*")
        if path.is_file() and WORK_FOLDER not in path.parts and path.stat().st_mtime > now + 1
    ]
    for path in later:
        os.utime(path, (now, now))
    if later:
        tell(f"{len(later)} files bear a time that is yet to come, the clock was set back: they get the present one")


def _require_its_configuration(run_folder: Path) -> None:
    """Without its own configuration Snakemake would begin another run, by default that of the published scale."""
    path = run_folder / CONFIGURATION_FILE
    try:
        values = yaml.safe_load(path.read_text())
        run = values["run"]
    except (ValueError, yaml.YAMLError, TypeError, KeyError):
        raise InputError(
            f"{path}: found no configuration of a run; accepted is what Snakemake wrote, begin with --configfile"
        ) from None
    if run != run_folder.name:
        raise InputError(
            f"{path}: run: found {run!r}; accepted is {run_folder.name!r}, the folder's name: give it that name again"
        )


def resume(run_folder: Path, extra: Sequence[str] = (), folder: Path | None = None, tell: Tell = print) -> int:
    """Continue a run as it was started.

    Parameters
    ----------
    run_folder : ``results/<run>``.
    extra : further options for Snakemake.
    folder : the workflow's working directory; the current one by default.
    tell : receives one line per thing that is done.

    Returns
    -------
    Snakemake's exit status.

    Raises
    ------
    InputError
        If the run's configuration is gone or another run's, a Snakemake works in the folder, a job cannot be ended, or
        the folder cannot be unlocked.
    """
    folder = Path.cwd() if folder is None else folder
    run_folder = require_run_folder(run_folder)
    _require_its_configuration(run_folder)
    living = living_workflows(folder)
    if living:
        numbers = ", ".join(map(str, living))
        raise InputError(f"{folder}: Snakemake (process {numbers}) works here; accepted is a folder where none does")
    if end_orphans(run_folder, tell) == 0:
        tell("no job outlived its Snakemake")
    _bring_times_back(run_folder, tell)
    snakemake = [sys.executable, "-m", "snakemake"]
    arguments = snakemake_arguments(run_folder)
    targets = [str(target) for target in recorded_command(run_folder).get("targets") or []]
    # Snakemake removes outputs before it starts a job, and does not miss them while the files made from them stand.
    outputs = (run_folder / output for output in known_outputs(run_folder / WORK_FOLDER))
    missing = [path for path in outputs if not path.exists() and path.resolve().is_relative_to(folder.resolve())]
    if missing:
        targets = [
            *(targets or ["all"]),
            *(path.resolve().relative_to(folder.resolve()).as_posix() for path in missing),
        ]
    if _locked(folder):
        tell("unlocking the folder")
        unlock = subprocess.run([*snakemake, "--unlock", *arguments], cwd=folder, capture_output=True, text=True)
        if unlock.returncode != 0:
            raise InputError(f"{folder}: Snakemake cannot unlock it\n{unlock.stdout}{unlock.stderr}")
    command = [*targets, *arguments, "--rerun-incomplete", *extra]
    tell(shlex.join(["snakemake", *command]))
    return subprocess.run([*snakemake, *command], cwd=folder).returncode
