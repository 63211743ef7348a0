"""Who made which file: the provenance records of a run, as the page lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.provenance.record import records_in


@dataclass(frozen=True)
class Origin:
    """One job and what it made.

    Attributes
    ----------
    record : path of the record below the run folder.
    files : (path below the run folder, size in bytes, SHA-256) of each output.
    inputs : path of each input: below the run folder, or of a file from outside.
    """

    program: str
    study: str
    record: str
    files: tuple[tuple[str, int, str], ...]
    inputs: tuple[str, ...]
    fingerprint: str
    commit: str
    end: str
    cpu_s: float | None

    @property
    def anchor(self) -> str:
        """Id of the job's row on the page."""
        return f"record-{re.sub('[^a-z0-9]+', '-', self.record.lower())}"


@dataclass(frozen=True)
class Origins:
    """All jobs of a run and what they had in common.

    Attributes
    ----------
    common : label and value of facts such as the processor; several values where jobs differ.
    """

    jobs: tuple[Origin, ...]
    common: tuple[tuple[str, str], ...]


def _commit(code: Mapping[str, Any]) -> str:
    commit = code.get("commit")
    if not commit:
        return "outside git"
    return f"{commit[:10]}{' with changes' if code.get('dirty') else ''}"


def _message_passing(record: Mapping[str, Any]) -> str | None:
    mpi = record["environment"].get("mpi")
    return f"{mpi['library']}, {mpi['size']} rank(s)" if mpi else None


def _lock(record: Mapping[str, Any]) -> str | None:
    locks = record["environment"].get("locks", {})
    return ", ".join(f"{name} ({digest[:12]})" for name, digest in sorted(locks.items())) or None


def _device(record: Mapping[str, Any]) -> str | None:
    torch = record["environment"].get("torch")
    return ", ".join(torch.get("devices", [])) or None if torch else None


_FACTS = (
    ("Code (git commit)", lambda record: _commit(record["code"])),
    ("Root seed", lambda record: str(record["seed"]["root"]) if record["seed"] else None),
    ("Seeds of cases", lambda record: record["seed"].get("derivation") if record["seed"] else None),
    ("Locked environment (SHA-256)", _lock),
    ("Python", lambda record: record["environment"].get("python")),
    ("Platform", lambda record: record["environment"].get("platform")),
    ("Processor", lambda record: record["environment"].get("processor")),
    ("MPI", _message_passing),
    ("GPU", _device),
)


def read_origins(run_folder: Path) -> Origins:
    """The jobs of a run, in the order in which they ended."""
    records = {
        path.relative_to(run_folder): record
        for path, record in records_in(run_folder).items()
        if not any(part.startswith(".") for part in path.relative_to(run_folder).parts)
    }
    ordered = sorted(records.items(), key=lambda item: (item[1]["time"]["end"], str(item[0])))
    jobs = tuple(
        Origin(
            program=record["program"],
            study=record["study"] or "",
            record=path.as_posix(),
            files=tuple((entry["path"], entry["size"], entry["sha256"]) for entry in record["outputs"]),
            inputs=tuple(entry["path"] for entry in record["inputs"]),
            fingerprint=record["code"]["fingerprint"],
            commit=_commit(record["code"]),
            end=record["time"]["end"][:19].replace("T", " "),
            cpu_s=record["time"].get("cpu_s"),
        )
        for path, record in ordered
    )
    common = []
    for label, fact in _FACTS:
        values = list(dict.fromkeys(value for _, record in ordered if (value := fact(record))))
        if values:
            common.append((label, "; ".join(values)))
    return Origins(jobs, tuple(common))
