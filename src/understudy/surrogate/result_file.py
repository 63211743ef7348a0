"""HDF5 files with predictions: schema, study and target names in front, equal content in equal bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from understudy.dataset import Field
from understudy.errors import InputError

SCHEMA_VERSION = 1


def fixed_text(value: str | Sequence[str]) -> np.ndarray:
    """Text of fixed length, because HDF5 keeps text of variable length in heaps whose bytes are not fixed."""
    encoded = [item.encode() for item in ([value] if isinstance(value, str) else value)]
    array = np.array(encoded, dtype=h5py.string_dtype("utf-8", max([1, *map(len, encoded)])))
    return array[0] if isinstance(value, str) else array


def plain(value):
    """Text, number or list of an HDF5 attribute as a Python value."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


@contextmanager
def create_result_file(path: Path, schema: str, study: str, target_fields: Sequence[Field]) -> Iterator[h5py.File]:
    """A new file for writing, flushed to the disk at the end; on an error nothing is left at ``path``."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = False
    try:
        with h5py.File(path, "w", libver="earliest") as file:
            file.attrs["schema"] = fixed_text(schema)
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["study"] = fixed_text(study)
            file.attrs["target_names"] = fixed_text([field.name for field in target_fields])
            file.attrs["target_units"] = fixed_text([field.unit for field in target_fields])
            yield file
        with path.open("rb") as handle:
            os.fsync(handle.fileno())
        written = True
    finally:
        if not written:
            path.unlink(missing_ok=True)


@contextmanager
def open_result_file(path: Path, schema: str, study: str) -> Iterator[h5py.File]:
    """The file for reading.

    Raises
    ------
    InputError
        If it is missing, truncated, of another schema, version or study, or incomplete.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; accepted is a file of schema {schema}")
    try:
        with h5py.File(path, "r") as file:
            wanted = {"schema": schema, "schema_version": SCHEMA_VERSION, "study": study}
            for name, value in wanted.items():
                found = plain(file.attrs.get(name))
                if found != value:
                    raise InputError(f"{path}: {name}: found {found!r}; accepted is {value!r}")
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read as HDF5 ({error}); accepted is a whole file") from None
    except KeyError as error:
        raise InputError(f"{path}: incomplete ({error}); accepted is a whole file of schema {schema}") from None
