"""JSON results: sorted by construction, flushed, and NaN as null, because JSON has no NaN."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from understudy.errors import InputError


def finite(value: Any) -> Any:
    """``value`` with every NaN or infinite number inside replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [finite(item) for item in value]
    return value


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, flushed to the disk; the caller renames it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        json.dump(finite(value), handle, indent=1, allow_nan=False)
        handle.write("\n")
        handle.flush()
        os.fsync(handle.fileno())


def read_json(path: Path, study: str, required: Sequence[str]) -> dict[str, Any]:
    """The object at ``path``.

    Raises
    ------
    InputError
        If the file is missing, no JSON object, without a required key, or of another study.
    """
    try:
        value = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: found no JSON ({error}); accepted is a whole JSON file") from None
    missing = [key for key in required if not isinstance(value, dict) or key not in value]
    if missing:
        raise InputError(f"{path}: found no {', '.join(missing)}; accepted is an object with {', '.join(required)}")
    if value.get("study", study) != study:
        raise InputError(f"{path}: found study {value['study']!r}; accepted is {study!r}")
    return value
