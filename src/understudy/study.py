"""The studies that live in the house: found by their folders, loaded by name.

A study is a package beside this module with a ``config.py`` (``CONFIG``, ``STAGES``) and a ``surrogate.py``
(``SURROGATE``). This is the only place that imports by a computed name: a new study changes nothing here, and the
fingerprint of a shared surrogate program names the study's surrogate module as an extra root.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from understudy.errors import InputError


def study_names() -> list[str]:
    """Names of all studies, in alphabetical order."""
    here = Path(__file__).parent
    return sorted(path.parent.name for path in here.glob("*/surrogate.py") if (path.parent / "config.py").exists())


def _load(study: str, module: str, attribute: str) -> Any:
    known = study_names()
    if study not in known:
        raise InputError(f"study: found {study!r}; accepted are {', '.join(known)}")
    return getattr(importlib.import_module(f"understudy.{study}.{module}"), attribute)


def load_config(study: str) -> type:
    """The section class with the study's configuration."""
    return _load(study, "config", "CONFIG")


def load_stages(study: str) -> dict[str, tuple[str, ...]]:
    """Stage name -> dotted keys of the study's configuration that the stage reads (``seed`` is the root seed)."""
    return _load(study, "config", "STAGES")


def load_surrogate(study: str) -> Any:
    """The study's `understudy.surrogate.definition.SurrogateDefinition`."""
    return _load(study, "surrogate", "SURROGATE")
