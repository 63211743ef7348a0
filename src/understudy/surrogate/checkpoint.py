"""Checkpoints of one network's training: whole or not at all, and bound to what is being trained."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch


def identity(settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over settings and array contents: a checkpoint of anything else is not continued."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` (tensors, numbers, strings) to ``path`` by temporary name, fsync and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as handle:
        torch.save(dict(content), handle)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(temporary, path)


def load_checkpoint(path: Path, identity_wanted: str) -> dict[str, Any] | None:
    """The checkpoint at ``path``, or None where there is none, or one of another training or torch version."""
    if not path.exists():
        return None
    content = torch.load(path, map_location="cpu", weights_only=True)
    return content if content.get("identity") == identity_wanted else None
