"""The provenance record: one JSON file per job, ``<first output>.prov.json``, written last.

Keys (all required):

``schema``, ``job``
    version of this form; a random identifier.
``program``, ``study``
    the program, which has its rule's name; the study it worked for, or null.
``outputs``, ``inputs``
    lists of files: ``name``, ``path`` (see `run_folder.portable`), ``size`` in bytes, ``sha256``. Inputs have a
    ``kind`` too: ``result`` (made by a recorded job, named under ``producer``), ``configuration`` (a stage file) or
    ``external`` (a file from outside the run).
``parameters``, ``parameters_sha256``
    the merged parameters and the hash of their canonical JSON.
``command``
    the command line with portable paths.
``code``
    ``commit``, ``dirty``, ``fingerprint``, ``files`` (digest per file) and ``versions`` (see `fingerprint`).
``environment``, ``notes``
    see `environment`; what the program noted: MPI sizes and hosts, devices, counts.
``seed``
    ``root`` and the words that say how the seed of a case derives from it, or null.
``time``
    ``start``, ``end`` (UTC), ``cpu_s``, ``peak_memory_bytes``: measured by the job about itself.
``status``
    always ``completed``: a job that failed leaves no record.
``digest``
    hash of all other keys. It proves that the record is whole, not that it is honest.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.provenance.run_folder import PARTIAL, RECORD_SUFFIX

SCHEMA = "understudy-record/1"
INPUT_KINDS = ("result", "configuration", "external")

_SHA256 = re.compile(r"^[0-9a-f]{64}$")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "schema": str,
    "job": str,
    "program": str,
    "study": (str, type(None)),
    "outputs": list,
    "inputs": list,
    "parameters": dict,
    "parameters_sha256": str,
    "command": list,
    "code": dict,
    "environment": dict,
    "notes": dict,
    "seed": (dict, type(None)),
    "time": dict,
    "status": str,
    "digest": str,
}


def plain(value: Any) -> Any:
    """``value`` in JSON's own types: tuples become lists, arrays and NumPy scalars numbers, paths strings.

    Raises
    ------
    TypeError
        For a type that has no plain form.
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"a record cannot hold {type(value).__name__}: {value!r}")


def canonical_sha256(value: Any) -> str:
    """SHA-256 of a plain value's canonical JSON: sorted keys, no spaces."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record in plain types with its ``digest``."""
    body = plain({key: value for key, value in record.items() if key != "digest"})
    return {**body, "digest": canonical_sha256(body)}


def new_job_id() -> str:
    """A random job identifier."""
    return str(uuid.uuid4())


def record_path(first_output: Path) -> Path:
    """Where the record of a job lies."""
    return first_output.with_name(first_output.name + RECORD_SUFFIX)


def _file_problem(entry: Any, kind: str) -> str | None:
    if not isinstance(entry, dict):
        return f"{kind}: found {entry!r}, accepted are objects"
    for key, accepted in (("name", str), ("path", str), ("size", int), ("sha256", str)):
        if not isinstance(entry.get(key), accepted):
            return f"{kind}.{key}: found {entry.get(key)!r}"
    if not _SHA256.match(entry["sha256"]):
        return f"{kind}.sha256: found {entry['sha256']!r}"
    if kind == "inputs":
        if entry.get("kind") not in INPUT_KINDS:
            return f"inputs.kind: found {entry.get('kind')!r}"
        producer = entry.get("producer")
        if entry["kind"] == "result" and not (isinstance(producer, dict) and isinstance(producer.get("job"), str)):
            return f"inputs.producer: found {producer!r} for {entry['path']}"
    return None


def parse_time(text: str) -> datetime:
    """A record's time."""
    return datetime.fromisoformat(text)


def problem_of(record: Any) -> str | None:
    """What is wrong with the form of a record, or None; hashes are not looked at."""
    if not isinstance(record, dict):
        return f"found {type(record).__name__}, accepted is an object"
    if record.get("schema") != SCHEMA:
        return f"schema: found {record.get('schema')!r}, accepted is {SCHEMA!r}"
    for key, accepted in _TYPES.items():
        if key not in record:
            return f"{key}: missing"
        if not isinstance(record[key], accepted):
            return f"{key}: found {type(record[key]).__name__}"
    unknown = record.keys() - _TYPES.keys()
    if unknown:
        return f"unknown keys: {', '.join(sorted(unknown))}"
    if not record["outputs"]:
        return "outputs: found none"
    for kind in ("outputs", "inputs"):
        for entry in record[kind]:
            problem = _file_problem(entry, kind)
            if problem is not None:
                return problem
    code = record["code"]
    if not isinstance(code.get("fingerprint"), str):
        return f"code.fingerprint: found {code.get('fingerprint')!r}"
    if not isinstance(code.get("files"), dict) or not isinstance(code.get("versions"), dict):
        return "code.files, code.versions: accepted are objects"
    try:
        if parse_time(record["time"]["start"]).tzinfo is None or parse_time(record["time"]["end"]).tzinfo is None:
            return "time: found no time zone"
    except (KeyError, TypeError, ValueError):
        return f"time: found {record['time']!r}"
    if record["status"] != "completed":
        return f"status: found {record['status']!r}, accepted is 'completed'"
    return None


def forgery_of(record: Mapping[str, Any]) -> str | None:
    """What in a well-formed record contradicts its own hashes, or None."""
    if canonical_sha256(record["parameters"]) != record["parameters_sha256"]:
        return "the parameters are not those that were hashed when the job ended"
    body = {key: value for key, value in record.items() if key != "digest"}
    if canonical_sha256(body) != record["digest"]:
        return "the record was edited after the job wrote it: its own digest no longer fits"
    return None


def read_record(path: Path) -> dict[str, Any]:
    """A record from its file.

    Raises
    ------
    InputError
        If the file cannot be read or has not the form of a record.
    """
    try:
        record = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); accepted is a provenance record") from None
    except ValueError as error:
        raise InputError(f"{path}: found no JSON ({error}); accepted is a provenance record") from None
    problem = problem_of(record)
    if problem is not None:
        raise InputError(f"{path}: is no provenance record ({problem})")
    return record


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable, where the file system can."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass  # some network file systems refuse fsync on folders; the rename itself is done
    finally:
        os.close(handle)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record whole: temporary name, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with temporary.open("w") as stream:
            json.dump(sealed(record), stream, indent=1, sort_keys=True, allow_nan=False)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def records_in(folder: Path, recursive: bool = True) -> dict[Path, dict[str, Any]]:
    """All well-formed records in a folder (and below), by path; others and hidden folders are left out."""
    found = {}
    for place, subfolders, names in os.walk(folder):
        # Shards and checkpoints lie in hidden folders by the thousand, and no records among them.
        subfolders[:] = sorted(name for name in subfolders if recursive and not name.startswith("."))
        for name in sorted(names):
            if not name.endswith(RECORD_SUFFIX) or name.startswith("."):
                continue
            try:
                found[Path(place) / name] = read_record(Path(place) / name)
            except InputError:
                continue
    return found
