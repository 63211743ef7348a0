"""The ground-truth file: where the physics of every study ends and the shared surrogate machine begins.

One HDF5 file per data set, written serially in case order with fixed chunks and without times, hosts or paths, so that
equal content means equal bytes. Rows are cases. ``inputs`` (N, channels, ...) and ``targets`` (N, T) come with
``case``, ``group`` (what must not be split across folds), ``split``, ``subset``, ``failed`` (the reason, or empty) and
optionally ``context`` (N, C).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import h5py
import numpy as np

from understudy.errors import InputError

SCHEMA = "understudy.ground_truth"
SCHEMA_VERSION = 1
SPLITS = ("training", "calibration", "heldout")
_CHUNK_BYTES = 1 << 18
_RESERVED = (
    "schema",
    "schema_version",
    "study",
    "input_step",
    "input_step_unit",
    "channel_names",
    "channel_units",
    "target_names",
    "target_units",
    "context_names",
    "context_units",
)
_COLUMNS = ("case", "group", "split", "subset", "failed")


class Field(NamedTuple):
    """A named quantity with its unit (``"1"`` for a pure number)."""

    name: str
    unit: str


def write_ground_truth(
    path: Path,
    *,
    study: str,
    inputs: Any,
    targets: np.ndarray,
    case: Sequence[int],
    group: Sequence[int],
    split: Sequence[str],
    subset: Sequence[str],
    failed: Sequence[str],
    channels: Sequence[Field],
    target_fields: Sequence[Field],
    group_names: Sequence[str],
    input_step: float,
    input_step_unit: str,
    context: np.ndarray | None = None,
    context_fields: Sequence[Field] = (),
    attributes: Mapping[str, str | int | float | bool] | None = None,
) -> None:
    """Write a ground-truth file; on an error nothing is left at ``path``.

    Parameters
    ----------
    path : file to write, usually a temporary name that the caller renames.
    inputs : (N, channels, ...) values, stored as float32; anything that slices to arrays, read in pieces.
    targets : (N, T) values, stored as float64.
    case : (N,) stable case numbers, ascending.
    group : (N,) index into ``group_names``; a group belongs to one split only.
    split : (N,) of `SPLITS`.
    subset : (N,) name of the evaluation set a row belongs to, or empty.
    failed : (N,) reason, or empty; values of failed rows may be NaN.
    channels, target_fields, context_fields : names and units along the second axis of inputs, targets and context.
    input_step, input_step_unit : spacing of the input samples.
    context : (N, C) conditioning scalars, stored as float64.
    attributes : further facts about the whole file.

    Raises
    ------
    InputError
        If shapes, order, names or splits contradict each other, or a successful row is not finite.
    """
    path = Path(path)
    context = np.empty((len(targets), 0)) if context is None else np.asarray(context, dtype=np.float64)
    targets = np.asarray(targets, dtype=np.float64)
    columns = {
        "case": np.asarray(case, dtype=np.int64),
        "group": np.asarray(group, dtype=np.int64),
        "split": np.asarray(split, dtype=str),
        "subset": np.asarray(subset, dtype=str),
        "failed": np.asarray(failed, dtype=str),
    }
    shapes = (tuple(np.shape(inputs)), targets.shape, context.shape)
    fields = (tuple(channels), tuple(target_fields), tuple(context_fields))
    _check_shapes(path, shapes, fields, columns)
    _check_columns(path, columns, group_names)
    extra = dict(attributes or {})
    taken = sorted(set(extra) & set(_RESERVED))
    if taken:
        raise InputError(f"{path}: attributes {taken} are the file's own; accepted are other names")
    good = columns["failed"] == ""
    _check_finite(path, "targets", targets[good], columns["case"][good])
    _check_finite(path, "context", context[good], columns["case"][good])

    written = False
    try:
        with h5py.File(path, "w", libver="earliest", track_order=False) as file:
            _write_attributes(file, study, input_step, input_step_unit, fields, extra)
            for name in ("case", "group"):
                file.create_dataset(name, data=columns[name], track_times=False)
            for name in ("split", "subset", "failed"):
                file.create_dataset(name, data=_fixed_strings(columns[name]), track_times=False)
            file.create_dataset("group_names", data=_fixed_strings(group_names), track_times=False)
            _write_chunked(file, "targets", targets)
            if context.shape[1]:
                _write_chunked(file, "context", context)
            dataset = _create_chunked(file, "inputs", shapes[0], np.float32)
            rows = dataset.chunks[0]
            for start in range(0, shapes[0][0], rows):
                piece = np.asarray(inputs[start : start + rows], dtype=np.float32)
                ok = good[start : start + rows]
                _check_finite(path, "inputs", piece[ok], columns["case"][start : start + rows][ok])
                dataset[start : start + rows] = piece
        with open(path, "rb") as handle:
            os.fsync(handle.fileno())
        written = True
    finally:
        if not written:
            path.unlink(missing_ok=True)


def _check_shapes(path: Path, shapes, fields, columns: Mapping[str, np.ndarray]) -> None:
    n = shapes[0][0] if shapes[0] else 0
    if n < 1:
        raise InputError(f"{path}: found no rows in inputs; accepted is at least one")
    for name, shape, named in zip(("inputs", "targets", "context"), shapes, fields, strict=True):
        if len(shape) < 2 or shape[0] != n or shape[1] != len(named):
            raise InputError(f"{path}: {name} has shape {shape}; accepted is ({n}, {len(named)}, ...) by its fields")
        if len({field.name for field in named}) < len(named):
            raise InputError(f"{path}: names of {name} are {[field.name for field in named]}; accepted is each once")
    for name, column in columns.items():
        if column.shape != (n,):
            raise InputError(f"{path}: {name} has shape {column.shape}; accepted is ({n},)")


def _check_columns(path: Path, columns: Mapping[str, np.ndarray], group_names: Sequence[str]) -> None:
    case, group, split = columns["case"], columns["group"], columns["split"]
    if case.min() < 0 or np.any(np.diff(case) <= 0):
        raise InputError(f"{path}: case must ascend from 0 or more without repetition")
    unknown = sorted(set(split.tolist()) - set(SPLITS))
    if unknown:
        raise InputError(f"{path}: split holds {unknown}; accepted are {', '.join(SPLITS)}")
    if group.min() < 0 or group.max() >= len(group_names):
        raise InputError(
            f"{path}: group runs from {group.min()} to {group.max()}; accepted are 0 to {len(group_names) - 1}, the "
            f"indices of group_names"
        )
    pairs = np.unique(np.stack([group, np.searchsorted(sorted(SPLITS), split)]), axis=1)
    shared = pairs[0][1:][np.diff(pairs[0]) == 0]
    if len(shared):
        names = [str(group_names[index]) for index in np.unique(shared)]
        raise InputError(f"{path}: groups {names} lie in more than one split; accepted is one split per group")


def _check_finite(path: Path, name: str, values: np.ndarray, case: np.ndarray) -> None:
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        bad = case[~finite]
        raise InputError(
            f"{path}: {name} holds NaN or infinity in {len(bad)} successful row(s), first case {bad[0]}; accepted are "
            f"finite numbers"
        )


def _fixed_strings(values: Sequence[str]) -> np.ndarray:
    """Strings as fixed-length UTF-8, because variable-length ones live in heaps whose layout is not fixed."""
    encoded = [str(value).encode() for value in values]
    length = max([1, *(len(value) for value in encoded)])
    return np.array(encoded, dtype=h5py.string_dtype("utf-8", length))


def _write_attributes(file: h5py.File, study: str, input_step: float, input_step_unit: str, fields, extra) -> None:
    file.attrs["schema"] = _fixed_strings([SCHEMA])[0]
    file.attrs["schema_version"] = SCHEMA_VERSION
    file.attrs["study"] = _fixed_strings([study])[0]
    file.attrs["input_step"] = float(input_step)
    file.attrs["input_step_unit"] = _fixed_strings([input_step_unit])[0]
    for name, named in zip(("channel", "target", "context"), fields, strict=True):
        file.attrs[f"{name}_names"] = _fixed_strings([field.name for field in named])
        file.attrs[f"{name}_units"] = _fixed_strings([field.unit for field in named])
    for name in sorted(extra):
        value = extra[name]
        file.attrs[name] = _fixed_strings([value])[0] if isinstance(value, str) else value


def _create_chunked(file: h5py.File, name: str, shape: tuple[int, ...], dtype) -> h5py.Dataset:
    row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(dtype).itemsize
    rows = int(np.clip(_CHUNK_BYTES // max(row_bytes, 1), 1, shape[0]))
    return file.create_dataset(name, shape, dtype, chunks=(rows, *shape[1:]), track_times=False, fillvalue=0)


def _write_chunked(file: h5py.File, name: str, values: np.ndarray) -> None:
    _create_chunked(file, name, values.shape, values.dtype)[...] = values


def open_ground_truth(path: Path, study: str | None = None) -> GroundTruth:
    """Open a ground-truth file for lazy reading, as a context manager.

    Parameters
    ----------
    study : refuse a file of any other study; None takes all.

    Raises
    ------
    InputError
        If the file is missing, truncated, not HDF5, not a ground-truth file, of another schema version or study.
    """
    return GroundTruth(Path(path), study)


class GroundTruth:
    """A ground-truth file opened for reading.

    Attributes
    ----------
    path : the file.
    study, n : study and number of rows.
    channels, target_fields, context_fields : names and units.
    group_names : names of the groups.
    input_step, input_step_unit : spacing of the input samples.
    input_shape : shape of one row of inputs, channels first.
    attributes : further facts about the file.
    case, group : (n,) int64.
    split, subset, failed : (n,) str.
    """

    def __init__(self, path: Path, study: str | None = None):
        self.path = path
        self._file = _open(path)
        try:
            self._read_head(study)
        except BaseException:
            self._file.close()
            raise

    def _read_head(self, study: str | None) -> None:
        file, path = self._file, self.path
        found = _text(file.attrs.get("schema", b""))
        if found != SCHEMA:
            raise InputError(f"{path}: found HDF5 with schema {found!r}; accepted is {SCHEMA!r} (a ground-truth file)")
        version = int(file.attrs.get("schema_version", 0))
        if version != SCHEMA_VERSION:
            raise InputError(f"{path}: found schema version {version}; accepted is {SCHEMA_VERSION}: make it again")
        missing = [name for name in (*_COLUMNS, "group_names", "inputs", "targets") if name not in file]
        missing += [name for name in _RESERVED if name not in file.attrs]
        if missing:
            raise InputError(f"{path}: found no {', '.join(missing)}; accepted is a complete ground-truth file")
        self.study = _text(file.attrs["study"])
        if study is not None and self.study != study:
            raise InputError(f"{path}: found ground truth of study {self.study!r}; accepted is study {study!r}")
        self.channels, self.target_fields, self.context_fields = (
            self._fields(name) for name in ("channel", "target", "context")
        )
        self.input_step = float(file.attrs["input_step"])
        self.input_step_unit = _text(file.attrs["input_step_unit"])
        self.attributes = {
            name: _text(value) if isinstance(value, (bytes, np.bytes_)) else value.item()
            for name, value in sorted(file.attrs.items())
            if name not in _RESERVED
        }
        self.group_names = [_text(name) for name in file["group_names"][...]]
        self.case, self.group = file["case"][...], file["group"][...]
        self.split, self.subset, self.failed = (
            np.array([_text(value) for value in file[name][...]], dtype=str) for name in ("split", "subset", "failed")
        )
        self.n = len(self.case)
        self.input_shape = tuple(file["inputs"].shape[1:])
        shapes = [file["inputs"].shape, file["targets"].shape]
        shapes.append(file["context"].shape if "context" in file else (self.n, 0))
        columns = {name: getattr(self, name) for name in _COLUMNS}
        _check_shapes(path, shapes, (self.channels, self.target_fields, self.context_fields), columns)
        _check_columns(path, columns, self.group_names)

    def _fields(self, name: str) -> tuple[Field, ...]:
        names, units = self._file.attrs[f"{name}_names"], self._file.attrs[f"{name}_units"]
        return tuple(Field(_text(a), _text(b)) for a, b in zip(names, units, strict=True))

    def rows(self, split: str | None = None, subset: str | None = None) -> np.ndarray:
        """Row numbers of successful cases, ascending; of one split and one subset where given.

        Raises
        ------
        InputError
            For a split that does not exist.
        """
        if split is not None and split not in SPLITS:
            raise InputError(f"{self.path}: asked for split {split!r}; accepted are {', '.join(SPLITS)}")
        wanted = self.failed == ""
        if split is not None:
            wanted &= self.split == split
        if subset is not None:
            wanted &= self.subset == subset
        return np.flatnonzero(wanted)

    def inputs(self, rows: Sequence[int]) -> np.ndarray:
        """(len(rows), channels, ...) float32 in the order of ``rows``; InputError if not finite."""
        return self._values("inputs", rows)

    def targets(self, rows: Sequence[int]) -> np.ndarray:
        """(len(rows), T) float64 in the order of ``rows``; InputError if not finite."""
        return self._values("targets", rows)

    def context(self, rows: Sequence[int]) -> np.ndarray:
        """(len(rows), C) float64 in the order of ``rows``, C = 0 without context; InputError if not finite."""
        if "context" not in self._file:
            return np.empty((len(rows), 0))
        return self._values("context", rows)

    def _values(self, name: str, rows: Sequence[int]) -> np.ndarray:
        rows = np.asarray(rows, dtype=np.int64)
        if rows.size and (rows.min() < 0 or rows.max() >= self.n):
            raise IndexError(f"{self.path}: rows run from {rows.min()} to {rows.max()}, the file has {self.n}")
        dataset = self._file[name]
        values = np.empty((len(rows), *dataset.shape[1:]), dataset.dtype)
        # Chunk by chunk: HDF5 selects scattered rows slowly, and the whole may not fit into memory.
        step = dataset.chunks[0] if dataset.chunks else self.n
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        for chunk in np.unique(rows // step):
            low, high = np.searchsorted(ordered, (chunk * step, (chunk + 1) * step))
            members = order[low:high]
            try:
                values[members] = dataset[chunk * step : (chunk + 1) * step][rows[members] - chunk * step]
            except OSError as error:
                raise InputError(f"{self.path}: {name} cannot be read ({error}); the file is damaged") from error
        _check_finite(self.path, name, values, self.case[rows])
        return values

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> GroundTruth:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _open(path: Path) -> h5py.File:
    if not path.is_file():
        raise InputError(f"{path}: found no such file; accepted is a ground-truth file")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read as HDF5 ({error}); accepted is a whole ground-truth file, this one is truncated "
            f"or of another kind"
        ) from error


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
