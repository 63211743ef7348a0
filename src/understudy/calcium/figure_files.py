"""Arrays that the figures of the calcium study are drawn from: whatever parts a result file holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from understudy.errors import InputError

ATTRIBUTES = "attributes"
"""Key of a group's attributes in `read_parts`."""


def _parts(group: h5py.Group) -> dict[str, Any]:
    found: dict[str, Any] = {ATTRIBUTES: {name: _plain(value) for name, value in group.attrs.items()}}
    for name, item in group.items():
        found[name] = _parts(item) if isinstance(item, h5py.Group) else _numbers(item)
    return found


def _plain(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value.item() if isinstance(value, np.generic) else value


def _numbers(dataset: h5py.Dataset) -> np.ndarray:
    """Text as text, real numbers in double precision: a reader computes with them."""
    if dataset.dtype.kind in "SO":
        return np.asarray(dataset.asstr()[...])
    values = dataset[...]
    return values.astype(float) if values.dtype.kind == "f" else values


def read_parts(path: Path) -> dict[str, Any]:
    """All groups and arrays of a file as nested mappings; attributes stand under `ATTRIBUTES`.

    Raises
    ------
    InputError : no HDF5 file.
    """
    try:
        with h5py.File(path, "r") as file:
            return _parts(file)
    except OSError:
        raise InputError(f"{path}: found no readable HDF5 file; accepted is a result of the calcium study") from None


def part(content: Any, *keys: str) -> Any:
    """A part by its way, None where the way ends."""
    for key in keys:
        if not isinstance(content, Mapping) or key not in content:
            return None
        content = content[key]
    return content


def holds(content: Any, *names: str) -> bool:
    """Whether all of these parts are there."""
    return isinstance(content, Mapping) and all(name in content for name in names)


def course_counts(courses: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Numbers of courses by split and family, with ``all`` and ``groups``."""
    counts = {}
    for split, found in courses.items():
        family = part(found, "family")
        if family is None:
            continue
        names, numbers = np.unique(np.asarray(family, dtype=str), return_counts=True)
        counts[split] = dict(zip(names.tolist(), numbers.tolist(), strict=True)) | {"all": len(family)}
        if part(found, "group") is not None:
            counts[split]["groups"] = len(np.unique(found["group"]))
    return counts
