"""The plan of a run: core hours, memory, disk and jobs of each stage, wall time, and what breaks first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.planning.costs import Estimate, cost_table, disk_needed_MB, memory_request_MB, run_time_minutes
from understudy.planning.machine import Machine, Planned, critical_s, needs, placed, scheduled
from understudy.planning.report_work import SHARED

_HOUR_S = 3600.0
# Shares of a run's time, and of a job's, from which on something is called a limit.
_LARGE, _WASTED = 0.25, 0.5
# Limits that the table names.
_FIRST = 8


def _stage(job: Planned) -> dict[str, Any]:
    estimate = job.estimate
    return {
        "stage": estimate.name,
        "jobs": 1,
        "ranks": job.ranks,
        "core_hours": estimate.core_s(job.ranks) / _HOUR_S,
        "wall_s": job.wall_s,
        "starts_after_s": job.start_s,
        "memory_MB_per_rank": estimate.memory_MB,
        "disk_MB": estimate.disk_MB,
        "request": {
            "mem_mb": memory_request_MB(estimate),
            "runtime_minutes": run_time_minutes(estimate, job.ranks),
        },
        "seconds": {
            "queue": job.queue_s,
            "start_up": job.start_up_s,
            "alone": job.alone_s,
            "shared": job.shared_s,
            "file_system": job.files_s,
        },
    }


def make_plan(run: str, estimates: Mapping[str, Estimate], machine: Machine) -> dict[str, Any]:
    """The plan as plain values.

    Parameters
    ----------
    run : name of the run.
    estimates : costs of all its jobs by name.
    machine : where it shall run.

    Returns
    -------
    ``stages`` in the order in which they start, ``total``, ``machine``, ``path`` (the jobs that nothing but faster
    ones would shorten), ``limits`` (what breaks first, in words), ``calibration`` (what the costs were measured on).
    """
    jobs = scheduled(estimates, machine)
    stages = [_stage(job) for job in jobs]
    results_MB, disk_MB = disk_needed_MB(estimates)
    core_s = sum(job.estimate.core_s(job.ranks) for job in jobs)
    wall_s = max(job.end_s for job in jobs)
    return {
        "run": run,
        "machine": {
            "ranks": machine.ranks,
            "nodes": machine.nodes,
            "cores_per_node": machine.cores,
            "memory_GB_per_node": machine.memory_GB,
            "queue_s": machine.queue_s,
            "opens_per_s": machine.opens_per_s,
            "bandwidth_MB_per_s": machine.bandwidth_MB_per_s,
        },
        "stages": stages,
        "total": {
            "jobs": len(stages),
            "core_hours": core_s / _HOUR_S,
            "wall_s": wall_s,
            "results_MB": results_MB,
            "disk_MB": disk_MB,
            "largest_memory_MB": max(job.estimate.memory_MB * job.ranks for job in jobs),
        },
        "path": critical_path(estimates, machine),
        "limits": limits(jobs, machine, wall_s),
        "calibration": {
            study: {run: f"{kept['machine']}, {kept['date']}" for run, kept in cost_table(study)["measured"].items()}
            for study in sorted({each.study for each in estimates.values()} - {SHARED})
        },
    }


def critical_path(estimates: Mapping[str, Estimate], machine: Machine) -> list[dict[str, Any]]:
    """The chain of jobs that takes longest, with the seconds of each."""
    jobs = {name: placed(each, machine) for name, each in estimates.items()}
    after = needs(estimates)
    left = critical_s(jobs, after)
    chain = [max((name for name in jobs if not after[name]), key=left.__getitem__)]
    while readers := [name for name, earlier in after.items() if chain[-1] in earlier]:
        chain.append(max(readers, key=left.__getitem__))
    return [{"stage": name, "wall_s": jobs[name].wall_s} for name in chain]


def limits(jobs: Sequence[Planned], machine: Machine, wall_s: float) -> list[str]:
    """What breaks first or wastes most, in words, the worst first."""
    found: list[tuple[float, str]] = []
    for job in jobs:
        name, work = job.estimate.name, job.estimate.work
        share = job.wall_s / wall_s
        needed_GB = job.estimate.memory_MB * min(job.ranks, machine.cores) / 1e3
        if machine.memory_GB is not None and needed_GB > machine.memory_GB:
            found.append((10.0, f"{name}: asks for {needed_GB:.0f} GB on one node, which has {machine.memory_GB:g} GB"))
        if work.farmed is not None and job.ranks > work.blocks:
            found.append(
                (
                    share,
                    f"{name}: {work.blocks} blocks keep no more ranks busy: {job.ranks - work.blocks} of "
                    f"{job.ranks} idle",
                )
            )
        elif work.farmed is not None and job.shared_s < _WASTED * job.wall_s:
            found.append(
                (share, f"{name}: {1 - job.shared_s / job.wall_s:.0%} of its time is start-up, merge and files")
            )
        if work.farmed is None and share > _LARGE:
            found.append((share, f"{name}: one core, {share:.0%} of the run's time"))
    start_up = sum(job.start_up_s for job in jobs if job.estimate.work.farmed is not None)
    if start_up > _LARGE * wall_s:
        found.append((1.0, f"start-up of {machine.ranks} ranks: {start_up:.0f} s over all farmed rules"))
    return [text for _, text in sorted(found, key=lambda entry: -entry[0])]


def duration(seconds: float) -> str:
    """Seconds in words: 42 s, 12.3 min, 4.5 h, 2.1 d."""
    for limit, unit, size in ((120, "s", 1.0), (7200, "min", 60.0), (172_800, "h", 3600.0)):
        if seconds < limit:
            return f"{seconds / size:.0f} s" if unit == "s" else f"{seconds / size:.1f} {unit}"
    return f"{seconds / 86_400:.1f} d"


def size(megabytes: float) -> str:
    """Megabytes in words."""
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def plan_text(plan: Mapping[str, Any]) -> str:
    """The plan as a table for the terminal."""
    machine, total = plan["machine"], plan["total"]
    head = ("stage", "jobs", "ranks", "core h", "wall", "memory", "disk", "asks for")
    rows = [
        (
            stage["stage"],
            str(stage["jobs"]),
            str(stage["ranks"]),
            f"{stage['core_hours']:.3f}",
            duration(stage["wall_s"]),
            size(stage["memory_MB_per_rank"] * stage["ranks"]),
            size(stage["disk_MB"]),
            f"{stage['request']['mem_mb']} MB a rank, {stage['request']['runtime_minutes']} min",
        )
        for stage in plan["stages"]
    ]
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [
        "  ".join(
            text.ljust(width) if not column or column == 7 else text.rjust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]
    nodes = f"{machine['nodes']} node(s) of {machine['cores_per_node']} cores"
    path = " -> ".join(f"{step['stage']} {duration(step['wall_s'])}" for step in plan["path"])
    lines += [
        "",
        f"run {plan['run']}: {total['jobs']} jobs, {total['core_hours']:.2f} core hours, "
        f"{duration(total['wall_s'])} on {machine['ranks']} ranks, {nodes}",
        f"memory at most {size(total['largest_memory_MB'])} for all ranks of one job",
        f"disk {size(total['results_MB'])} of results, {size(total['disk_MB'])} with shards until the run has ended",
        f"longest chain: {path}",
    ]
    if plan["limits"]:
        first = plan["limits"][:_FIRST]
        lines += ["what limits:", *(f"  {text}" for text in first)]
        if len(plan["limits"]) > _FIRST:
            lines.append(f"  and {len(plan['limits']) - _FIRST} more (--json has them)")
    lines.append("costs were measured on:")
    for study, runs in plan["calibration"].items():
        lines.append(f"  {study}: " + "; ".join(f"{run} ({where})" for run, where in runs.items()))
    return "\n".join(lines)
