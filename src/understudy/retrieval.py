"""Retrieval of public files by address and digest."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from understudy.errors import InputError

SCHEMES = ("https", "http", "file")
_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 60.0
_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")

Progress = Callable[[int, int | None], None]


def print_progress(received: int, total: int | None) -> None:
    """One line per tenth of the file (or per 10 MB where its size is unknown)."""
    step = total / 10 if total else 10e6
    if received == total or int(received / step) > int((received - _BLOCK_BYTES) / step):
        share = f" of {total / 1e6:.1f} MB ({received / total:.0%})" if total else " MB"
        print(f"retrieved {received / 1e6:.1f}{share}", flush=True)


def retrieve(url: str, path: str | Path, sha256: str, progress: Progress = print_progress) -> Path:
    """Fetch ``url`` to ``path``; the file appears whole and with the right digest, or not at all.

    A file that is there already with that digest is kept and nothing is fetched.

    Parameters
    ----------
    url : https, http or file address.
    path : destination; its folder is made.
    sha256 : expected digest, 64 hexadecimal digits.
    progress : called with received and total bytes (None where the server does not say).

    Raises
    ------
    InputError
        If the address or the digest is malformed, the address cannot be read, or the content has another digest.
    """
    path = Path(path)
    expected = _SHA256.fullmatch(str(sha256))
    if expected is None:
        raise InputError(f"sha256: found {sha256!r}; accepted are 64 hexadecimal digits")
    digest = expected.group(1).lower()
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in SCHEMES:
        raise InputError(f"url: found {url!r}; accepted are addresses with {', '.join(SCHEMES)}")
    if path.is_file():
        with path.open("rb") as present:
            if hashlib.file_digest(present, "sha256").hexdigest() == digest:
                return path
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            found = _fetch(url, file, progress)
            file.flush()
            os.fsync(file.fileno())
        if found != digest:
            raise InputError(f"{url}: found content with SHA-256 {found}; accepted is {digest}; {path} was not written")
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _fetch(url: str, file, progress: Progress) -> str:
    """Copy the content of ``url`` into an open file; returns its SHA-256."""
    digest, received = hashlib.sha256(), 0
    try:
        response = urllib.request.urlopen(url, timeout=_TIMEOUT_S)
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        raise InputError(f"{url}: found no readable file ({error}); accepted is an address that answers") from None
    with response:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        while True:
            try:
                block = response.read(_BLOCK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                raise InputError(f"{url}: the connection broke after {received:,} bytes ({error}); try again") from None
            if not block:
                break
            file.write(block)
            digest.update(block)
            received += len(block)
            progress(received, total)
    if total is not None and received != total:
        raise InputError(f"{url}: the connection broke after {received:,} of {total:,} bytes; try again")
    return digest.hexdigest()
