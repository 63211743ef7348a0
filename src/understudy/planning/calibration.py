"""Fit of the cost tables: seconds, memory and disk per amount of work from the runs that were measured."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from understudy.planning.costs import ONE
from understudy.planning.measurements import Measured, MeasuredRun, read_tables
from understudy.planning.report_work import SHARED
from understudy.settings import write_if_different

# What a small job's error is measured against: a second, a few megabytes.
_FLOOR = {"serial_s": 1.0, "farmed_s": 1.0, "memory_MB": 20.0, "disk_MB": 0.05}
# Against relative errors: large enough to decide between amounts that fit alike, too small to spoil a fit.
_WEAK, _STRONG = 0.03, 0.1
_AMOUNTS = {"serial_s": "serial", "farmed_s": "farmed", "memory_MB": "memory", "disk_MB": "disk"}


def fitted(jobs: Sequence[Measured], quantity: str) -> dict[str, float]:
    """Non-negative cost of each amount that fits the measurements best by relative error.

    Few runs cannot tell all amounts apart. Slight penalties decide then. Seconds and files are spread over the amounts,
    and what no amount multiplies stays small, so that a larger study never looks free; memory is first of all that of
    the libraries, which no amount multiplies.
    """
    names = sorted({name for job in jobs for name in getattr(job, _AMOUNTS[quantity])})
    measured = np.array([getattr(job, quantity) for job in jobs])
    # What ranks share is work alone: without cases there is none.
    alone = float(quantity != "farmed_s")
    amounts = np.array([[alone, *(getattr(job, _AMOUNTS[quantity]).get(name, 0.0) for name in names)] for job in jobs])
    scale = amounts.max(axis=0)
    used = scale > 0
    if not used.any():
        return {}
    weight = measured + _FLOOR[quantity]
    of_one, of_amounts = (_WEAK, _STRONG) if quantity == "memory_MB" else (_STRONG, _WEAK)
    penalty = np.diag(np.r_[of_one, np.full(len(names), of_amounts)][used]) / weight.max()
    rows = np.vstack([amounts[:, used] / scale[used] / weight[:, None], penalty])
    solved, _ = nnls(rows, np.r_[measured / weight, np.zeros(used.sum())])
    costs = np.zeros(len(scale))
    costs[used] = solved / scale[used]
    return {name: float(f"{value:.5g}") for name, value in zip((ONE, *names), costs, strict=True) if value > 0}


def _start_s(jobs: Iterable[Measured]) -> float | None:
    starts = [job.start_s for job in jobs if job.start_s is not None]
    return round(statistics.median(starts), 3) if starts else None


def rule_costs(jobs: Sequence[Measured], usual_start_s: float) -> dict[str, Any]:
    """One rule's entry in a cost table; ``usual_start_s`` stands for a start-up that no quiet machine has shown."""
    start_s = _start_s(jobs)
    entry: dict[str, Any] = {"start_s": usual_start_s if start_s is None else start_s}
    return entry | {quantity: fitted(jobs, quantity) for quantity in _AMOUNTS}


def fitted_tables(runs: Mapping[str, Mapping[str, Mapping[str, Measured]]]) -> dict[str, dict[str, Any]]:
    """Study -> rule -> costs from run -> study -> rule -> measurement."""
    by_rule: dict[str, dict[str, list[Measured]]] = {}
    for studies in runs.values():
        for study, jobs in studies.items():
            for rule, job in jobs.items():
                by_rule.setdefault(study, {}).setdefault(rule, []).append(job)
    tables = {}
    for study, rules in by_rule.items():
        usual_s = _start_s(job for jobs in rules.values() for job in jobs) or 0.0
        tables[study] = {rule: rule_costs(jobs, usual_s) for rule, jobs in sorted(rules.items())}
    return tables


def calibrate(measured: Sequence[MeasuredRun], folder: Path) -> list[Path]:
    """Take runs into the cost tables and fit all costs of their studies anew.

    A run replaces what was kept under its name; runs that were measured before stay.

    Parameters
    ----------
    measured : runs.
    folder : of the tables.

    Returns
    -------
    The tables that were written.
    """
    written = []
    for study in sorted({study for run in measured for study in run.jobs}):
        path = folder / f"{study}.json"
        kept = json.loads(path.read_text())["measured"] if path.is_file() else {}
        for run in measured:
            if run.jobs.get(study):
                # Runs of single studies may share a name, and each tells of the shared rules.
                studies = ", ".join(name for name in run.jobs if name != SHARED)
                kept[f"{run.run} ({studies})" if study == SHARED else run.run] = run.to_json(study)
        if not kept:
            continue
        tables = read_tables({study: {"measured": kept}})
        content = {"study": study, "rules": fitted_tables(tables)[study], "measured": dict(sorted(kept.items()))}
        write_if_different(path, json.dumps(content, indent=1, sort_keys=True) + "\n")
        written.append(path)
    return written
