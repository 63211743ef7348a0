"""Append-only files of framed records, readable up to the last whole frame after any kind of death.

A frame is a header (magic, kind, case number, payload length, BLAKE2b checksum, CRC-32 of the header itself) and its
payload. The header's own CRC lets a reader hop from frame to frame without reading payloads. Standard library only,
because the progress monitor imports it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

from understudy.errors import InputError

RESULT = 0
FAILURE = 1

_MAGIC = b"USF1"
_FIELDS = struct.Struct("<4sB3xqQ16s")
_CRC = struct.Struct("<I4x")
HEADER_BYTES = _FIELDS.size + _CRC.size
_DIGEST_BYTES = 16
_READ_BYTES = 1 << 22
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Frame(NamedTuple):
    """Where one record lies: payload of ``length`` bytes from ``offset`` in ``path``."""

    path: Path
    kind: int
    case: int
    offset: int
    length: int
    digest: bytes


def _hasher(kind: int, case: int, length: int):
    return hashlib.blake2b(struct.pack("<BqQ", kind, case, length), digest_size=_DIGEST_BYTES)


def frame_bytes(kind: int, case: int, payload: bytes) -> bytes:
    """One whole frame as it is appended."""
    hasher = _hasher(kind, case, len(payload))
    hasher.update(payload)
    fields = _FIELDS.pack(_MAGIC, kind, case, len(payload), hasher.digest())
    return b"".join((fields, _CRC.pack(zlib.crc32(fields)), payload))


def scan_frames(path: Path, start: int = 0, verify: bool = False) -> tuple[list[Frame], int]:
    """Whole frames from byte ``start`` on, and the byte where the last of them ends.

    Parameters
    ----------
    verify : also read every payload and compare its checksum; otherwise a frame counts when all its bytes are there.
    """
    frames: list[Frame] = []
    end = start
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while end + HEADER_BYTES <= size:
            file.seek(end)
            header = file.read(HEADER_BYTES)
            if len(header) < HEADER_BYTES:
                break
            fields = header[: _FIELDS.size]
            magic, kind, case, length, digest = _FIELDS.unpack(fields)
            offset = end + HEADER_BYTES
            if magic != _MAGIC or header[_FIELDS.size :] != _CRC.pack(zlib.crc32(fields)) or offset + length > size:
                break
            if verify and _digest_of(file, kind, case, length) != digest:
                break
            frames.append(Frame(path, kind, case, offset, length, digest))
            end = offset + length
    return frames, end


def _digest_of(file, kind: int, case: int, length: int) -> bytes:
    """Checksum of the payload that starts at the file's position."""
    hasher = _hasher(kind, case, length)
    left = length
    while left:
        piece = file.read(min(left, _READ_BYTES))
        if not piece:
            break
        hasher.update(piece)
        left -= len(piece)
    return hasher.digest()


def read_payload(frame: Frame) -> bytes:
    """The payload of a frame, with its checksum compared.

    Raises
    ------
    InputError
        If the bytes on disk are not those that were written.
    """
    with open(frame.path, "rb") as file:
        file.seek(frame.offset)
        payload = file.read(frame.length)
    hasher = _hasher(frame.kind, frame.case, frame.length)
    hasher.update(payload)
    if len(payload) != frame.length or hasher.digest() != frame.digest:
        raise InputError(
            f"{frame.path}: the record of case {frame.case} at byte {frame.offset} does not match its checksum; "
            f"run the stage again: it keeps what is whole and computes the rest"
        )
    return payload


class FrameWriter:
    """Appends frames to one new file, created by the first of them.

    Each frame goes out in one piece, so the death of the process costs at most the frame in flight; `sync` guards
    against the death of the machine.
    """

    def __init__(self, path: Path):
        self.path = path
        self._descriptor: int | None = None
        self._end = 0

    def append(self, kind: int, case: int, payload: bytes) -> None:
        """Append one record.

        Raises
        ------
        InputError
            If the disk, the quota or the file-size limit is full; the file then ends at its last whole frame.
        """
        frame = memoryview(frame_bytes(kind, case, payload))
        try:
            if self._descriptor is None:
                flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL
                self._descriptor = os.open(self.path, flags, 0o644)
            written = 0
            while written < len(frame):
                written += os.write(self._descriptor, frame[written:])
        except OSError as error:
            self._cut()
            if error.errno in _NO_SPACE:
                raise InputError(self._no_space(case, len(frame), error)) from error
            raise
        self._end += len(frame)

    def sync(self) -> None:
        """Bring everything appended so far to the disk."""
        if self._descriptor is None:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise InputError(self._no_space(None, self._end, error)) from error
            raise

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _cut(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, self._end)

    def _no_space(self, case: int | None, n_bytes: int, error: OSError) -> str:
        what = f"the {n_bytes} bytes of case {case}" if case is not None else f"{n_bytes} bytes"
        return (
            f"{self.path.parent}: no room for {what} ({os.strerror(error.errno or 0)}); finished cases are safe: "
            f"make room and run again to continue"
        )
