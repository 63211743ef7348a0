"""What a run has finished at one moment, and what its results are apart from times: for comparing disturbed runs."""

from __future__ import annotations

import base64
import collections
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from understudy.farm.frames import scan_frames
from understudy.farm.shards import shard_files

# Results that hold times, and all that is drawn or told from them; the numbers behind are compared themselves, as are
# those of the compiled mechanisms, whose library names the folder it was built in.
TOLD = re.compile(r"(\.prov\.json|(^|/)(report\.\w+|audit\.json)|/figures/[^/]+|libnrnmech\.so)$")
BOOKKEEPING = {".work", "logs", "benchmarks", "config"}
# Seconds that were measured, and of how many cases: entries that differ between any two runs.
MEASURED = re.compile(
    r"(deployment|white_matter_cost)\.json: .*(seconds|_s$|_s_|\.direct_n$|\.computed$)|_s_per_threshold$"
    r"|hybrid\.json: \.cost\.|\.seconds$|verification\.json: \.(timing\.\w+_s_|benchmarks\.rxd_time)"
)


@dataclass(frozen=True)
class Finished:
    """What a run has finished at one moment.

    Attributes
    ----------
    jobs : record -> its job's number, of jobs that Snakemake noted as done.
    unnoted : the same of jobs that ended, but whose end Snakemake has not noted: it runs them again.
    cases : (shard folder, case) -> digests of its whole records.
    pieces : checkpoint or verified part -> inode and time of its last change.
    """

    jobs: dict[str, str]
    unnoted: dict[str, str]
    cases: dict[tuple[str, int], list[bytes]]
    pieces: dict[str, tuple[int, int]]


def finished(folder: Path, run: Path) -> Finished:
    """What has been finished of the run ``folder/results/<run>`` until now."""
    begun = {
        base64.b64decode(marker.name).decode()
        for marker in (folder / ".snakemake/incomplete").rglob("*")
        if marker.is_file()
    }
    jobs: dict[str, str] = {}
    unnoted: dict[str, str] = {}
    for record in sorted(run.rglob("*.prov.json")):
        with contextlib.suppress(ValueError, FileNotFoundError):
            content = json.loads(record.read_text())
            outputs = [f"{run.relative_to(folder).as_posix()}/{output['path']}" for output in content["outputs"]]
            if all((folder / output).exists() for output in outputs):
                noted = not begun & {*outputs, record.relative_to(folder).as_posix()}
                (jobs if noted else unnoted)[record.relative_to(run).as_posix()] = content["job"]
    cases = collections.defaultdict(list)
    pieces = {}
    for path in sorted((run / ".work").rglob("*")):
        if path.parent.name == "attempts" or not path.is_file():
            continue
        if path.suffix in (".pt", ".json") and not path.name.startswith((".", "owner", "farm")):
            status = path.stat()
            pieces[path.relative_to(run).as_posix()] = (status.st_ino, status.st_mtime_ns)
        if path.name == "farm.json":
            for _, shard in shard_files(path.parent):
                for frame in scan_frames(shard, verify=True)[0]:
                    cases[path.parent.relative_to(run).as_posix(), frame.case].append(frame.digest)
    return Finished(jobs, unnoted, dict(cases), pieces)


def content(results: Path) -> dict[str, str]:
    """Digest of every entry of every result that is not a time, by file and name."""
    found = {}
    for path in sorted(results.rglob("*")):
        name = path.relative_to(results)
        if not path.is_file() or BOOKKEEPING & set(name.parts) or TOLD.search(name.as_posix()):
            continue
        for leaf, digest in leaves(path):
            entry = f"{name.as_posix()}: {leaf}"
            if not MEASURED.search(entry):
                found[entry] = digest
    return found


def leaves(path: Path) -> Iterator[tuple[str, str]]:
    """(name, digest) of what is in a file: of a JSON or HDF5 file every entry, of others the whole."""
    if path.suffix == ".json":
        yield from _entries("", json.loads(path.read_text()))
    elif path.suffix == ".h5":
        with h5py.File(path) as file:
            names: list[str] = [""]
            file.visit(names.append)
            for name in names:
                item = file[name] if name else file
                for attribute, value in item.attrs.items():
                    yield f"{name}.{attribute}", _digest(np.asarray(value))
                if isinstance(item, h5py.Dataset):
                    yield name, _digest(np.asarray(item[()]))
    else:
        yield "", hashlib.sha256(path.read_bytes()).hexdigest()


def _entries(name: str, content) -> Iterator[tuple[str, str]]:
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from _entries(f"{name}.{key}", value)
    elif isinstance(content, list) and any(isinstance(value, dict | list) for value in content):
        for number, value in enumerate(content):
            yield from _entries(f"{name}.{number}", value)
    else:
        yield name, json.dumps(content, sort_keys=True)


def _digest(values: np.ndarray) -> str:
    raw = values.tobytes() if values.dtype != object else repr(values.tolist()).encode()
    return hashlib.sha256(f"{values.dtype} {values.shape}".encode() + raw).hexdigest()


def differences(expected: dict[str, str], found: dict[str, str]) -> list[str]:
    """Names of entries that are missing, new or other than expected."""
    return sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
