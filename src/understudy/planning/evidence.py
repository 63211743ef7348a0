"""How far plans are from what was measured: per run and study, and per rule, fitted on all runs or without the one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from understudy.planning.calibration import fitted_tables
from understudy.planning.costs import cost
from understudy.planning.measurements import Measured

_HOUR_S = 3600.0
_LEAST_OTHERS = 2


def planned(measured: Measured, costs: Mapping[str, Any]) -> tuple[float, float, float]:
    """Core seconds without start-up, memory in MB and disk in MB that a rule's costs make of a job's amounts."""
    seconds = cost(costs["serial_s"], measured.serial)
    seconds += cost(costs["farmed_s"], measured.farmed) if measured.farmed else 0.0
    return seconds, cost(costs["memory_MB"], measured.memory), cost(costs["disk_MB"], measured.disk)


def comparison(
    runs: Mapping[str, Mapping[str, Mapping[str, Measured]]], tables: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """One entry for each run and study: core hours, largest memory and disk, planned and measured.

    Parameters
    ----------
    runs : run -> study -> rule -> what it cost.
    tables : study -> cost table's ``rules``.
    """
    found = []
    for run, studies in runs.items():
        for study, jobs in studies.items():
            known = {rule: job for rule, job in jobs.items() if rule in tables.get(study, {})}
            if not known:
                continue
            plans = {rule: planned(job, tables[study][rule]) for rule, job in known.items()}
            found.append(
                {
                    "run": run,
                    "study": study,
                    "rules": len(known),
                    "core_hours": {
                        "planned": sum(plan[0] for plan in plans.values()) / _HOUR_S,
                        "measured": sum(job.core_s for job in known.values()) / _HOUR_S,
                    },
                    "largest_memory_MB": {
                        "planned": max(plan[1] for plan in plans.values()),
                        "measured": max(job.memory_MB for job in known.values()),
                    },
                    "disk_MB": {
                        "planned": sum(plan[2] for plan in plans.values()),
                        "measured": sum(job.disk_MB for job in known.values()),
                    },
                    "by_rule": {
                        rule: {"planned_s": plans[rule][0], "measured_s": job.core_s} for rule, job in known.items()
                    },
                }
            )
    return found


def left_one_out(runs: Mapping[str, Mapping[str, Mapping[str, Measured]]]) -> list[dict[str, Any]]:
    """`comparison` of each run with costs that were fitted on the other runs alone: what a plan is worth for a size
    that was never measured. Rules that fewer than two other runs have are left out: two sizes tell how costs grow."""
    found = []
    for run, studies in runs.items():
        others = {name: values for name, values in runs.items() if name != run}
        known = {
            study: {
                rule: job
                for rule, job in jobs.items()
                if sum(rule in values.get(study, {}) for values in others.values()) >= _LEAST_OTHERS
            }
            for study, jobs in studies.items()
        }
        found += comparison({run: known}, fitted_tables(others))
    return found


def error(pair: Mapping[str, float]) -> float:
    """Planned over measured, less 1."""
    return pair["planned"] / pair["measured"] - 1 if pair["measured"] else 0.0


def evidence_text(entries: list[dict[str, Any]], title: str) -> str:
    """A table of planned and measured figures."""
    lines = [
        title,
        f"  {'run':<16}{'study':<9}{'rules':>5}{'core h':>19}{'':>8}{'largest memory':>21}{'':>8}{'disk':>21}",
    ]
    for entry in entries:
        hours, memory, disk = entry["core_hours"], entry["largest_memory_MB"], entry["disk_MB"]
        lines.append(
            f"  {entry['run']:<16}{entry['study']:<9}{entry['rules']:>5}"
            f"{hours['planned']:>9.4f} /{hours['measured']:>8.4f}{error(hours):>+8.1%}"
            f"{memory['planned']:>8.0f} /{memory['measured']:>8.0f} MB{error(memory):>+8.1%}"
            f"{disk['planned']:>8.1f} /{disk['measured']:>8.1f} MB{error(disk):>+8.1%}"
        )
    return "\n".join(lines)
