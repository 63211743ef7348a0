"""The provenance record: one JSON file per job, ``<first output>.prov.json``, written last.

Keys (all required):

``schema``, ``job``
    version of this form; a random identifier.
``program``, ``study``
    the program, which has its rule's name; the study it worked for, or null.
``outputs``, ``inputs``
    lists of files: ``name``, ``path`` (see `run_folder.portable`), ``size`` in bytes, ``sha256``. Outputs lie in the
    run. Inputs have a ``kind`` too: ``result`` (made by a recorded job, whose ``job``, ``program`` and ``record`` are
    named under ``producer``), ``configuration`` (a stage file) or ``external`` (a file from outside the run).
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
from understudy.provenance.run_folder import OUTSIDE, PARTIAL, RECORD_SUFFIX

SCHEMA = "understudy-record/1"
INPUT_KINDS = ("result", "configuration", "external")

_SHA256 = re.compile(r"^[0-9a-f]{64}\Z")
# A name such as HEAD would be whatever commit is the present one.
_COMMIT = re.compile(r"^([0-9a-f]{40}|[0-9a-f]{64})\Z")
_YEARS = range(1970, 2201)
# Parameters and notes nest a few levels; a file made to exhaust its reader nests thousands.
_DEEPEST = 64
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


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of a repeated key readers would see one value and a person perhaps another."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"repeated keys: {', '.join(sorted({key for key in keys if keys.count(key) > 1}))}")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"found {text}, accepted are finite numbers")
    return value


def strict_json(text: str) -> Any:
    """The value of a JSON text that can be read in one way only.

    Raises
    ------
    ValueError
        If the text is no JSON, repeats a key, holds a number that is not finite or characters that UTF-8 cannot hold,
        or nests too deeply.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once_each, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("nests too deeply") from None
    level = [value]
    for _ in range(_DEEPEST):
        inner = [item for item in level if isinstance(item, dict | list)]
        level = [part for item in inner for part in (item.values() if isinstance(item, dict) else item)]
    if level:
        raise ValueError("nests too deeply")
    # Half of a surrogate pair, written \\ud800, could neither be a file's name nor be printed.
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _path_problem(path: str, outside: bool) -> str | None:
    """What is wrong with a recorded path, or None; ``outside`` accepts those of files from outside the run."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return f"found {path!r}, accepted is what UTF-8 can hold"
    prefix = next((prefix for prefix in OUTSIDE if path.startswith(prefix)), "")
    if prefix and not outside:
        return f"found {path!r}, accepted are paths relative to the run folder"
    # What `portable` writes is resolved; with ".." a path could lead anywhere.
    if "\0" in path or {"", ".", ".."} & set(path.removeprefix(prefix).split("/")):
        return f"found {path!r}, accepted are resolved paths without '..'"
    return None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _file_problem(entry: Any, kind: str) -> str | None:
    if not isinstance(entry, dict):
        return f"{kind}: found {entry!r}, accepted are objects"
    for key in ("name", "path", "sha256"):
        if not isinstance(entry.get(key), str):
            return f"{kind}.{key}: found {entry.get(key)!r}"
    problem = _path_problem(entry["path"], outside=kind == "inputs")
    if problem is not None:
        return f"{kind}.path: {problem}"
    if not _is_count(entry.get("size")):
        return f"{kind}.size: found {entry.get('size')!r}, accepted are integers from 0"
    if not _SHA256.match(entry["sha256"]):
        return f"{kind}.sha256: found {entry['sha256']!r}"
    if kind == "inputs":
        if entry.get("kind") not in INPUT_KINDS:
            return f"inputs.kind: found {entry.get('kind')!r}"
        producer = entry.get("producer")
        if entry["kind"] == "result" and not (_is_texts(producer) and {"job", "program", "record"} <= producer.keys()):
            return f"inputs.producer: found {producer!r} for {entry['path']}"
    return None


def _code_problem(code: Mapping[str, Any]) -> str | None:
    if not isinstance(code.get("fingerprint"), str):
        return f"code.fingerprint: found {code.get('fingerprint')!r}"
    if not _is_texts(code.get("files")) or not _is_texts(code.get("versions")):
        return "code.files, code.versions: accepted are objects of strings"
    if not {"commit", "dirty"} <= code.keys():
        return "code.commit, code.dirty: missing"
    commit, dirty = code["commit"], code["dirty"]
    if commit is not None and not (isinstance(commit, str) and _COMMIT.match(commit)):
        return f"code.commit: found {commit!r}, accepted are 40 or 64 hexadecimal digits, or null"
    if dirty is not None and not isinstance(dirty, bool):
        return f"code.dirty: found {dirty!r}, accepted are true, false and null"
    return None


def _environment_problem(environment: Mapping[str, Any]) -> str | None:
    for key in ("python", "platform", "processor"):
        if not isinstance(environment.get(key), str):
            return f"environment.{key}: found {environment.get(key)!r}, accepted is a string"
    for key in ("locks", "distributions"):
        if not _is_texts(environment.get(key)):
            return f"environment.{key}: found {environment.get(key)!r}, accepted is an object of strings"
    for name in environment["locks"]:
        problem = _path_problem(name, outside=False)
        if problem is not None:
            return f"environment.locks: {problem}"
    mpi, torch, slurm = (environment.get(key) for key in ("mpi", "torch", "slurm"))
    if mpi is not None and not (
        isinstance(mpi, dict) and isinstance(mpi.get("library"), str) and _is_count(mpi.get("size"))
    ):
        return f"environment.mpi: found {mpi!r}"
    if torch is not None and not (isinstance(torch, dict) and _is_words(torch.get("devices"))):
        return f"environment.torch: found {torch!r}"
    if slurm is not None and not _is_texts(slurm):
        return f"environment.slurm: found {slurm!r}"
    return None


def _time_problem(time: Mapping[str, Any]) -> str | None:
    try:
        times = [parse_time(time[key]) for key in ("start", "end")]
    except (KeyError, TypeError, ValueError):
        return f"time: found {dict(time)!r}"
    if any(moment.tzinfo is None for moment in times):
        return "time: found no time zone"
    if any(moment.year not in _YEARS for moment in times):
        return f"time: found {time['start']} to {time['end']}, accepted are the years {_YEARS[0]} to {_YEARS[-1]}"
    cpu_s = time.get("cpu_s")
    if not isinstance(cpu_s, int | float) or isinstance(cpu_s, bool) or not cpu_s >= 0:
        return f"time.cpu_s: found {cpu_s!r}, accepted are numbers from 0"
    if not _is_count(time.get("peak_memory_bytes")):
        return f"time.peak_memory_bytes: found {time.get('peak_memory_bytes')!r}, accepted are integers from 0"
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
    # Programs and studies are parts of paths: scripts/<program>.py.
    for key in ("program", "study"):
        if record[key] is not None and not record[key].isidentifier():
            return f"{key}: found {record[key]!r}, accepted are names of letters, digits and _"
    if not record["outputs"]:
        return "outputs: found none"
    for kind in ("outputs", "inputs"):
        for entry in record[kind]:
            problem = _file_problem(entry, kind)
            if problem is not None:
                return problem
    outputs = [entry["path"] for entry in record["outputs"]]
    for path in outputs:
        if outputs.count(path) > 1:
            return f"outputs: found {path} {outputs.count(path)} times"
    if not record["command"] or not _is_words(record["command"]):
        return f"command: found {record['command']!r}, accepted is a list of words"
    seed = record["seed"]
    if seed is not None and not (
        isinstance(seed.get("root"), int)
        and not isinstance(seed["root"], bool)
        and isinstance(seed.get("derivation"), str)
    ):
        return f"seed: found {seed!r}, accepted are an integer as root and words as derivation"
    if record["status"] != "completed":
        return f"status: found {record['status']!r}, accepted is 'completed'"
    return _code_problem(record["code"]) or _environment_problem(record["environment"]) or _time_problem(record["time"])


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
        record = strict_json(path.read_text(encoding="utf-8"))
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
