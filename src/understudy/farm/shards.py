"""Results of cases on disk: payloads in framed shards, one shard per rank and attempt, below a key.

``folder/<key>/`` belongs to exactly one combination of parameters, code, inputs and seed, so results of old code can
never be merged under a new fingerprint.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from understudy.errors import InputError
from understudy.farm import frames, ownership
from understudy.farm.frames import Frame
from understudy.farm.keys import SHARD_SCHEMA

MARKER = "farm.json"
MERGED = "farm.merged"
_SHARD_NAME = re.compile(r"^shard-(\d{4,})-(\d{5,})\.bin$")


@dataclass(frozen=True)
class Failure:
    """A case that raised: what its inputs were and what went wrong."""

    case: int
    reason: str
    description: str = ""
    traceback: str = ""


def shard_path(key_folder: Path, attempt: int, rank: int) -> Path:
    """The one shard that ``rank`` writes during ``attempt``."""
    return key_folder / f"shard-{attempt:04d}-{rank:05d}.bin"


def shard_files(key_folder: Path) -> list[tuple[int, Path]]:
    """(attempt, path) of every shard below a key, in a fixed order."""
    found = []
    for path in key_folder.iterdir() if key_folder.is_dir() else ():
        match = _SHARD_NAME.match(path.name)
        if match:
            found.append((int(match.group(1)), path))
    return sorted(found)


def encode_arrays(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Named arrays as bytes: equal names, types, shapes and values give equal bytes.

    Raises
    ------
    TypeError
        For object arrays, which have no bytes of their own.
    """
    head, pieces = [], []
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        if array.dtype.hasobject or array.dtype.names is not None:
            raise TypeError(f"result {name!r}: found dtype {array.dtype}, accepted are numbers, booleans and strings")
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        head.append([name, array.dtype.str, list(array.shape)])
        pieces.append(array.tobytes(order="C"))
    text = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((len(text).to_bytes(4, "little"), text, *pieces))


def decode_arrays(payload: bytes) -> dict[str, np.ndarray]:
    """The named arrays of `encode_arrays`, as writable copies."""
    start = 4 + int.from_bytes(payload[:4], "little")
    arrays = {}
    for name, dtype_text, shape in json.loads(payload[4:start]):
        dtype = np.dtype(dtype_text)
        count = math.prod(shape)
        arrays[name] = np.frombuffer(payload, dtype, count, start).reshape(shape).copy()
        start += count * dtype.itemsize
    return arrays


def encode_failure(failure: Failure) -> bytes:
    """A failure as bytes."""
    content = {"reason": failure.reason, "description": failure.description, "traceback": failure.traceback}
    return json.dumps(content, sort_keys=True).encode()


def decode_failure(case: int, payload: bytes) -> Failure:
    """The failure of `encode_failure`."""
    return Failure(case=case, **json.loads(payload))


def cut_back(key_folder: Path) -> int:
    """Cut every shard back to its last whole frame with a matching checksum; the number of bytes dropped."""
    dropped = 0
    for _, path in shard_files(key_folder):
        _, end = frames.scan_frames(path, verify=True)
        size = path.stat().st_size
        if size > end:
            os.truncate(path, end)
            dropped += size - end
    return dropped


def index_cases(key_folder: Path) -> dict[int, Frame]:
    """Case number -> its record, ascending, over all shards below a key.

    Raises
    ------
    InputError
        If two records of one case differ: the simulation is not deterministic, or a shard was tampered with.
    """
    found: dict[int, Frame] = {}
    for _, path in shard_files(key_folder):
        for frame in frames.scan_frames(path)[0]:
            first = found.setdefault(frame.case, frame)
            if (first.kind, first.digest) != (frame.kind, frame.digest):
                raise InputError(
                    f"{key_folder}: case {frame.case} has two different results, in {first.path.name} and "
                    f"{path.name}; accepted are equal bytes: run with --recompute to start this stage afresh"
                )
    return dict(sorted(found.items()))


class CaseReader(Mapping[int, "dict[str, np.ndarray] | Failure"]):
    """Results by case number in ascending order; each is read and checked when it is asked for."""

    def __init__(self, key_folder: Path):
        self._index = index_cases(key_folder)
        self._folder = key_folder

    def __getitem__(self, case: int) -> dict[str, np.ndarray] | Failure:
        try:
            frame = self._index[case]
        except KeyError:
            raise KeyError(f"case {case} has no result in {self._folder}") from None
        payload = frames.read_payload(frame)
        return decode_failure(case, payload) if frame.kind == frames.FAILURE else decode_arrays(payload)

    def failed(self, case: int) -> bool:
        """Whether the record of a case is a `Failure`, without reading it."""
        return self._index[case].kind == frames.FAILURE

    def __contains__(self, case: object) -> bool:
        return case in self._index

    def __iter__(self) -> Iterator[int]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)


def read_cases(folder: Path, key: str) -> CaseReader:
    """The results below ``folder/<key>``: a lazy mapping case -> named arrays or `Failure`, ascending by case.

    Raises
    ------
    InputError
        If there is no such folder.
    """
    key_folder = Path(folder) / key
    if not key_folder.is_dir():
        raise InputError(f"{key_folder}: found no results of cases; accepted is a folder that the farm wrote")
    return CaseReader(key_folder)


def prepare(key_folder: Path, label: str) -> None:
    """Create the folder of a key with the marker that makes it the farm's own."""
    try:
        key_folder.mkdir(parents=True, exist_ok=True)
        marker = key_folder / MARKER
        if not marker.exists():
            marker.write_text(json.dumps({"schema": SHARD_SCHEMA, "label": label}) + "\n")
    except OSError as error:
        raise InputError(
            f"{key_folder}: cannot be written ({error.strerror}); accepted is a writable folder"
        ) from error


def remove_shards(key_folder: Path, shards: Sequence[tuple[int, Path]] | None = None) -> int:
    """Remove all shards below a key; how many there were."""
    shards = shard_files(key_folder) if shards is None else shards
    for _, path in shards:
        path.unlink()
    return len(shards)


def mark_merged(folder: Path, key: str) -> None:
    """Note that the results below ``folder/<key>`` are in a merged file; they are removed by `remove_merged` only."""
    marker = Path(folder) / key / MERGED
    with open(marker, "w") as file:
        file.write("merged\n")
        file.flush()
        os.fsync(file.fileno())


def remove_merged(run_folder: Path) -> list[Path]:
    """Remove the merged shard folders of a run, once its whole workflow succeeded.

    Folders that still have a live owner stay.

    Returns
    -------
    The removed folders.
    """
    removed = []
    for marker in sorted((Path(run_folder) / ".work").rglob(MERGED)):
        key_folder = marker.parent
        if (key_folder / MARKER).is_file() and not ownership.is_owned(key_folder):
            shutil.rmtree(key_folder)
            removed.append(key_folder)
    return removed
