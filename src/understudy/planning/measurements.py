"""What the jobs of a finished run cost: from its records and Snakemake's benchmark files.

Core seconds come from records: a job measures its own processor time, and a farm that of each rank. Other work on the
machine stretches elapsed time, far less processor time; Snakemake's own sampling misses up to half a minute at the end
of a job. Benchmark files add what a job cannot measure of itself: start-up, and the memory of all its processes.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.planning.report_work import SHARED, report_works
from understudy.planning.work import Work
from understudy.provenance.attempts import read_attempts
from understudy.provenance.record import parse_time, records_in
from understudy.provenance.run_folder import WORK_FOLDER, require_run_folder

_MB = 1e6
# A job that got less than this share of a core shared the machine: its elapsed times say nothing.
_UNDISTURBED = 0.8


@dataclass(frozen=True)
class Measured:
    """What one job cost, and the amounts of work that it had.

    Attributes
    ----------
    start_s : elapsed before the job's clock ran and after it stopped; None where the machine was shared or no benchmark
        file tells.
    serial_s, farmed_s : core seconds of the first rank outside the farm (or of the whole job), and of all ranks in it.
    wall_s : elapsed time with start-up; None where the machine was shared.
    memory_MB : largest of one rank.
    disk_MB : results.
    serial, farmed, memory, disk : the amounts of its `Work`.
    """

    start_s: float | None
    serial_s: float
    farmed_s: float
    ranks: int
    wall_s: float | None
    memory_MB: float
    disk_MB: float
    serial: Mapping[str, float]
    farmed: Mapping[str, float]
    memory: Mapping[str, float]
    disk: Mapping[str, float]

    @property
    def core_s(self) -> float:
        """Core seconds without start-up."""
        return self.serial_s + self.farmed_s


@dataclass(frozen=True)
class MeasuredRun:
    """What a run cost.

    Attributes
    ----------
    machine, date : where and when its last job ran.
    jobs : study -> rule -> what it cost.
    left_out : jobs that were left out -> why.
    wall_s : seconds in which at least one of its jobs ran; None where the machine was shared.
    """

    run: str
    machine: str
    date: str
    jobs: dict[str, dict[str, Measured]]
    left_out: dict[str, str]
    wall_s: float | None = None

    def to_json(self, study: str) -> dict[str, Any]:
        """One study's part as a cost table keeps it."""
        jobs = {rule: _rounded(asdict(job)) for rule, job in sorted(self.jobs[study].items())}
        return {"machine": self.machine, "date": self.date, "jobs": jobs}


def _rounded(values: Any) -> Any:
    if isinstance(values, dict):
        return {name: _rounded(value) for name, value in values.items()}
    return float(f"{values:.4g}") if isinstance(values, float) else values


def _benchmark(folder: Path, study: str, rule: str) -> dict[str, float] | None:
    path = folder / "benchmarks" / f"{rule if study == SHARED else f'{study}.{rule}'}.tsv"
    if not path.is_file():
        return None
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    try:
        return {name: float(rows[-1][name]) for name in ("s", "max_rss")}
    except (IndexError, KeyError, ValueError):
        return None


def _record_of(records: Mapping[Path, Mapping[str, Any]], study: str, work: Work) -> Mapping[str, Any] | None:
    for record in records.values():
        own = record["study"] if study != SHARED else study
        here = not work.folder or f"{study}/{work.folder}/" in record["outputs"][0]["path"]
        if record["program"] == (work.program or work.rule) and own == study and here:
            return record
    return None


def _earlier(attempts: list[dict[str, Any]], record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Starts of earlier attempts with the same code at the same outputs, whose parts this job may have found."""
    outputs = [entry["path"] for entry in record["outputs"]]
    return [
        line
        for line in attempts
        if line["event"] == "start"
        and line["job"] != record["job"]
        and line["time"] < record["time"]["end"]
        and line.get("code") == record["code"]["fingerprint"]
        and line.get("outputs") == outputs
    ]


def _first_whole_s(attempts: list[dict[str, Any]], earlier: list[dict[str, Any]]) -> float | None:
    """Elapsed seconds of the first attempt, which found no parts; None if it did not reach its end."""
    ends = {line["job"]: line["time"] for line in attempts if line["event"] == "end"}
    first = earlier[0]
    if first["job"] not in ends:
        return None
    return (parse_time(ends[first["job"]]) - parse_time(first["time"])).total_seconds()


def _measured(record: Mapping[str, Any], benchmark: Mapping[str, float] | None, work: Work) -> Measured:
    time = record["time"]
    inside_s = (parse_time(time["end"]) - parse_time(time["start"])).total_seconds()
    farm = record["notes"].get("farm")
    uses = farm["ranks"] if farm else []
    own_s = uses[0]["cpu_s"] if uses else 0.0
    ranks = max(1, len(uses))
    memory_MB = time["peak_memory_bytes"] / _MB
    if benchmark is not None:
        memory_MB = max(memory_MB, benchmark["max_rss"] / ranks)
    undisturbed = time["cpu_s"] >= _UNDISTURBED * inside_s or inside_s < 1
    if uses:
        # Ranks wait for the last block asleep.
        undisturbed = max(use["cpu_s"] / max(use["wall_s"], 1e-9) for use in uses) >= _UNDISTURBED
    known = benchmark is not None and undisturbed
    return Measured(
        start_s=max(0.0, benchmark["s"] - inside_s) if known else None,
        serial_s=max(0.0, time["cpu_s"] - own_s),
        farmed_s=sum(use["cpu_s"] for use in uses),
        ranks=ranks,
        wall_s=benchmark["s"] if known else None,
        memory_MB=memory_MB,
        disk_MB=sum(entry["size"] for entry in record["outputs"]) / _MB,
        serial=dict(work.serial),
        farmed=dict(work.farmed or {}),
        memory=dict(work.memory),
        disk=dict(work.disk),
    )


def read_measurements(run_folder: Path, works: Mapping[str, list[Work]]) -> MeasuredRun:
    """What the jobs of a run cost.

    Parameters
    ----------
    run_folder : ``results/<run>``.
    works : amounts of work of each of its studies under its configuration.

    Raises
    ------
    InputError
        If the folder is no run, or no job of it has finished.
    """
    folder = require_run_folder(run_folder)
    records = records_in(folder)
    if not records:
        raise InputError(f"{run_folder}: found no finished job; accepted is the folder of a run with records")
    attempts = read_attempts(folder / WORK_FOLDER)
    jobs: dict[str, dict[str, Measured]] = {}
    left_out: dict[str, str] = {}
    times: list[tuple[datetime, datetime]] = []
    total_MB = 0.0
    for study, own in works.items():
        jobs[study] = {}
        for work in own:
            record = _record_of(records, study, work)
            if record is None:
                left_out[f"{study}.{work.rule}"] = "no record"
                continue
            found = _measured(record, _benchmark(folder, study, work.rule), work)
            times.append(_span(record, found))
            total_MB += found.disk_MB
            farm = record["notes"].get("farm")
            if farm and farm["reused"]:
                left_out[f"{study}.{work.rule}"] = f"resumed: {farm['reused']} of {farm['total']} cases were there"
            elif work.resumes and (earlier := _earlier(attempts, record)):
                first_s = _first_whole_s(attempts, earlier)
                if first_s is None:
                    left_out[f"{study}.{work.rule}"] = "resumed: its record tells of its last attempt alone"
                else:
                    # No job on one core computes for longer than it lasts.
                    jobs[study][work.rule] = replace(found, serial_s=first_s, start_s=None, wall_s=None)
            else:
                jobs[study][work.rule] = found
    jobs[SHARED] = {}
    for work in report_works(total_MB, {study: len(own) for study, own in works.items()}):
        record = _record_of(records, SHARED, work)
        if record is not None:
            found = jobs[SHARED][work.rule] = _measured(record, _benchmark(folder, SHARED, work.rule), work)
            times.append(_span(record, found))
    one = next(iter(records.values()))
    every = [job for own in jobs.values() for job in own.values()]
    shared_s = sum(job.core_s for job in every if job.wall_s is None)
    disturbed = shared_s > (1 - _UNDISTURBED) * sum(job.core_s for job in every)
    return MeasuredRun(
        run=folder.name,
        machine=f"{one['environment'].get('processor', 'unknown')}, {one['environment'].get('cores')} cores",
        date=max(record["time"]["end"] for record in records.values())[:10],
        jobs=jobs,
        left_out=left_out,
        wall_s=None if disturbed else _covered_s(times),
    )


def _span(record: Mapping[str, Any], found: Measured) -> tuple[datetime, datetime]:
    """When a job was launched, and when it ended."""
    begun, ended = parse_time(record["time"]["start"]), parse_time(record["time"]["end"])
    return begun - timedelta(seconds=found.start_s or 0.0), ended


def _covered_s(times: list[tuple[datetime, datetime]]) -> float:
    """Seconds in which at least one job ran: what a pause between two calls of Snakemake does not lengthen."""
    covered, end = 0.0, min(start for start, _ in times)
    for start, stop in sorted(times):
        covered += max(0.0, (stop - max(start, end)).total_seconds())
        end = max(end, stop)
    return covered


def read_tables(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Measured]]]:
    """Run -> study -> rule -> what it cost, out of cost tables by study."""
    runs: dict[str, dict[str, dict[str, Measured]]] = {}
    for study, table in tables.items():
        for run, kept in table["measured"].items():
            runs.setdefault(run, {})[study] = {rule: Measured(**job) for rule, job in kept["jobs"].items()}
    return runs


def kept_runs(folder: Path) -> tuple[dict[str, dict[str, dict[str, Measured]]], dict[str, Any]]:
    """The runs that the cost tables in ``folder`` were fitted on (see `read_tables`), and study -> fitted costs."""
    tables = {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}
    return read_tables(tables), {study: table["rules"] for study, table in tables.items()}
