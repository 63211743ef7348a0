"""``understudy plan``: what a configuration costs, how far plans were from measured runs, and new costs from runs."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from understudy import settings
from understudy.errors import InputError
from understudy.planning.costs import TABLES, estimates
from understudy.planning.machine import Machine
from understudy.planning.measurements import read_measurements
from understudy.planning.plan import make_plan, plan_text
from understudy.planning.studies import read_configuration, run_configuration, study_works
from understudy.planning.work import Work
from understudy.provenance.run_folder import recorded_command


def run(arguments: Namespace) -> int:
    """Do what the arguments ask for; the exit status.

    Raises
    ------
    InputError
        If an argument, a configuration or a run is wrong.
    """
    if arguments.calibrate:
        return _calibrate(arguments.calibrate, arguments.tables or TABLES)
    if arguments.evidence:
        return _evidence(arguments.json)
    if arguments.compare:
        return _compare(arguments.compare, arguments.json)
    return _plan(arguments)


def _machine(arguments: Namespace, ranks: int) -> Machine:
    for name, value in (("--nodes", arguments.nodes), ("--cores", arguments.cores)):
        if value is not None and value < 1:
            raise InputError(f"{name}: found {value}; accepted is at least 1")
    for name in ("opens_per_s", "bandwidth_MB_per_s", "memory_GB", "queue_s"):
        value, least = getattr(arguments, name), "at least 0" if name == "queue_s" else "above 0"
        if value is not None and not (0 < value < math.inf or (value == 0 and name == "queue_s")):
            raise InputError(f"--{name.replace('_', '-')}: found {value:g}; accepted is a number {least}")
    if ranks < arguments.nodes:
        raise InputError(f"--ranks: found {ranks} for {arguments.nodes} nodes; accepted is at least one rank for each")
    cores = arguments.cores if arguments.cores is not None else math.ceil(ranks / arguments.nodes)
    return Machine(
        # As Snakemake does with --cores: no more ranks than there are cores.
        ranks=min(ranks, cores * arguments.nodes),
        nodes=arguments.nodes,
        cores=cores,
        memory_GB=arguments.memory_GB,
        queue_s=arguments.queue_s,
        opens_per_s=arguments.opens_per_s,
        bandwidth_MB_per_s=arguments.bandwidth_MB_per_s,
    )


def _plan(arguments: Namespace) -> int:
    over = {} if arguments.ranks is None else {"execution": {"ranks": arguments.ranks}}
    settings.load(over, "--ranks")
    configuration = read_configuration(arguments.configuration, over=over)
    plan = make_plan(
        configuration.run,
        estimates(configuration, study_works(configuration)),
        _machine(arguments, configuration.execution.ranks),
    )
    print(json.dumps(plan, indent=2) if arguments.json else plan_text(plan))
    return 0


def _evidence(as_json: bool) -> int:
    # Imported here: the fit needs SciPy, which a plan need not wait for.
    from understudy.planning.evidence import comparison, evidence_text, left_one_out
    from understudy.planning.measurements import kept_runs

    runs, tables = kept_runs(TABLES)
    own, others = comparison(runs, tables), left_one_out(runs)
    if as_json:
        print(json.dumps({"fitted_on_all": own, "fitted_on_the_other_runs": others}, indent=2))
    else:
        print(evidence_text(own, "planned / measured, costs fitted on all runs"))
        print(evidence_text(others, "planned / measured, costs fitted on the other runs alone"))
    return 0


def _compare(folders: Sequence[Path], as_json: bool) -> int:
    # Imported here: the fit needs SciPy, which a plan need not wait for.
    from understudy.planning.evidence import comparison, evidence_text
    from understudy.planning.measurements import kept_runs

    _, tables = kept_runs(TABLES)
    entries: list[dict[str, Any]] = []
    notes: list[str] = []
    for folder in folders:
        configuration, works = _of_run(folder)
        measured = read_measurements(folder, works)
        entries += comparison({measured.run: measured.jobs}, tables)
        notes += [f"left out: {rule} ({reason})" for rule, reason in measured.left_out.items()]
        cores = recorded_command(folder).get("cores", configuration.execution.ranks)
        plan = make_plan(
            measured.run,
            estimates(configuration, works),
            Machine(min(cores, configuration.execution.ranks), cores=cores),
        )
        planned_s = plan["total"]["wall_s"]
        entries.append({"run": measured.run, "wall_s": {"planned": planned_s, "measured": measured.wall_s}})
        found = f"{measured.wall_s:.0f} s measured" if measured.wall_s else "the machine was shared: not measured"
        notes.append(f"{measured.run}, wall time on {cores} cores: {planned_s:.0f} s planned, {found}")
    if as_json:
        print(json.dumps(entries, indent=2))
    else:
        print(evidence_text([entry for entry in entries if "study" in entry], "planned / measured"))
        print("\n".join(notes))
    return 0


def _calibrate(folders: Sequence[Path], tables: Path) -> int:
    from understudy.planning.calibration import calibrate

    runs = [read_measurements(folder, _of_run(folder)[1]) for folder in folders]
    for measured in runs:
        for rule, reason in measured.left_out.items():
            print(f"{measured.run}, left out: {rule} ({reason})")
    for path in calibrate(runs, tables):
        print(f"{path}: written")
    return 0


def _of_run(folder: Path) -> tuple[Any, dict[str, list[Work]]]:
    """The configuration of a run, and the work of its rules."""
    configuration = run_configuration(folder)
    return configuration, study_works(configuration, folder.resolve().parents[1])
