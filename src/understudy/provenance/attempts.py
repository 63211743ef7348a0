"""The log of attempts: each start, end and error of a program, in ``<run>/.work/attempts/<program>.jsonl``.

Records tell of jobs that succeeded; this tells of all. Snakemake never removes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from understudy.farm.processes import ProcessIdentity, identify, own_workflow, workflow_of

_TEXTS = ("event", "job", "program", "time")


def attempts_file(work: Path, program: str) -> Path:
    """Where a program's attempts are logged."""
    return work / "attempts" / f"{program}.jsonl"


def now() -> str:
    """The time in UTC as records hold it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def append(work: Path, program: str, event: str, job: str, details: Mapping[str, Any]) -> None:
    """Append one line; ``event`` is start, end, error or interrupted.

    Raises
    ------
    OSError
        If the line cannot be written.
    """
    path = attempts_file(work, program)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({"event": event, "job": job, "program": program, "time": now(), **details}, sort_keys=True)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        # One write call: lines of two processes do not mix.
        os.write(handle, f"{line}\n".encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def this_process() -> dict[str, Any]:
    """Identities of this process and of the Snakemake above it (null for a run by hand)."""
    workflow = own_workflow()
    return {"process": identify().to_json(), "workflow": workflow.to_json() if workflow is not None else None}


def process_of(line: Mapping[str, Any]) -> ProcessIdentity:
    """The process that wrote a start line."""
    return ProcessIdentity(**line["process"])


def is_orphan(line: Mapping[str, Any]) -> bool:
    """Whether a living job's Snakemake is gone; a job that was started by hand is nobody's orphan."""
    return line["workflow"] is not None and workflow_of(line["process"]["pid"]) is None


def _is_identity(value: Any) -> bool:
    """Whether `process_of` can read this."""
    types = {"host": str, "pid": int, "started": str}
    return (
        isinstance(value, dict)
        and value.keys() == types.keys()
        and all(isinstance(value[key], accepted) for key, accepted in types.items())
    )


def _is_attempt(line: Any) -> bool:
    """Whether a line has the form that `append` gives it: readers rely on it."""
    if not isinstance(line, dict) or not all(isinstance(line.get(key), str) for key in _TEXTS):
        return False
    outputs = line.get("outputs", [])
    if not isinstance(outputs, list):
        return False
    # An end tells of each output what its record tells; the other events know only their paths.
    if line["event"] == "end":
        outputs = [entry.get("path") if isinstance(entry, dict) else None for entry in outputs]
    if not all(isinstance(path, str) for path in outputs):
        return False
    if "process" in line and not _is_identity(line["process"]):
        return False
    return line.get("workflow") is None or _is_identity(line["workflow"])


def read_attempts(work: Path) -> list[dict[str, Any]]:
    """All lines of all programs in order of time; one cut short by a crash or of another form is left out."""
    lines = []
    for path in sorted((work / "attempts").glob("*.jsonl")):
        for text in path.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                continue
            if _is_attempt(line):
                lines.append(line)
    return sorted(lines, key=lambda line: line["time"])


def open_attempts(work: Path) -> list[dict[str, Any]]:
    """Start lines of jobs on this host that have no other line and whose process still lives."""
    lines = read_attempts(work)
    closed = {line["job"] for line in lines if line["event"] != "start"}
    starts = [line for line in lines if line["event"] == "start" and line["job"] not in closed and "process" in line]
    return [line for line in starts if process_of(line).local and process_of(line).alive()]


def known_outputs(work: Path) -> list[str]:
    """Outputs, relative to the run folder, that any attempt began or made, in the order of their first appearance."""
    starts = [line for line in read_attempts(work) if line["event"] == "start"]
    return list(dict.fromkeys(output for line in starts for output in line.get("outputs", [])))
