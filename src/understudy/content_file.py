"""HDF5 files between a study's stages: they say what they hold, and hold no times, hosts or paths."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from understudy.errors import InputError

SCHEMA = 1


@contextmanager
def opened(path: str | Path, content: str) -> Iterator[h5py.File]:
    """The file for reading, if it has the stated content.

    Raises
    ------
    InputError
        If it is missing, no HDF5, or of other content or schema.
    """
    if not Path(path).exists():
        raise InputError(f"{path}: no such file; accepted is a file with {content}")
    try:
        file = h5py.File(path, "r")
    except OSError:
        raise InputError(
            f"{path}: found no readable HDF5 (truncated or another format); accepted is a {content} file"
        ) from None
    with file:
        found = (file.attrs.get("content"), file.attrs.get("schema"))
        if found != (content, SCHEMA):
            raise InputError(
                f"{path}: found content {found[0]!r}, schema {found[1]}; accepted is {content!r}, schema {SCHEMA}"
            )
        yield file


def create(path: str | Path, content: str) -> h5py.File:
    """A new file for writing, with the stated content."""
    file = h5py.File(path, "w", libver=("v110", "v110"))
    file.attrs["content"] = content
    file.attrs["schema"] = SCHEMA
    return file
