"""The work of every enabled study, found by its name: each says in its ``costs.py`` what its rules do.

No program imports this module, so that its imports by name hide no code from a fingerprint.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from understudy import settings
from understudy.errors import InputError
from understudy.planning.work import Work
from understudy.provenance.run_folder import CONFIGURATION_FILE, require_run_folder


def study_works(configuration: Any, folder: Path = Path()) -> dict[str, list[Work]]:
    """Work of all rules of each enabled study.

    Parameters
    ----------
    configuration : the whole, validated one.
    folder : to which a relative ``data_dir`` is relative.

    Raises
    ------
    InputError
        If a study does not say what its rules do.
    """
    data_dir = folder / configuration.data_dir
    found = {}
    for study in configuration.studies:
        try:
            module = importlib.import_module(f"understudy.{study}.costs")
        except ModuleNotFoundError:
            raise InputError(
                f"study {study}: found no src/understudy/{study}/costs.py; accepted is a module whose works() says "
                "what each rule of the study does"
            ) from None
        found[study] = module.works(getattr(configuration, study), data_dir)
    return found


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Values of ``over`` in place of those of ``under``, section by section, as Snakemake merges its files."""
    merged = dict(under)
    for name, value in over.items():
        known = merged.get(name)
        merged[name] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _values(path: Path) -> dict[str, Any]:
    values = settings.read_file(path)
    if not isinstance(values, dict):
        found = "nothing" if values is None else type(values).__name__
        raise InputError(f"{path}: found {found}; accepted are keys and values")
    return values


def read_configuration(
    path: Path | None, base: Path = Path("config/config.yaml"), over: Mapping[str, Any] | None = None
) -> Any:
    """The validated configuration that Snakemake would use with ``--configfile path``; without a path its own.

    Parameters
    ----------
    path : file given with ``--configfile``.
    base : the workflow's own.
    over : values given with ``--config``, as a profile may.

    Raises
    ------
    InputError
        If a file is no configuration, or a key is wrong.
    """
    values = _values(base) if base.is_file() else {}
    if path is not None:
        values = _merged(values, _values(path))
    return settings.load(_merged(values, over or {}), str(path or base))


def read_profile(folder: Path) -> dict[str, Any]:
    """Settings of a Snakemake profile, by its folder.

    Raises
    ------
    InputError
        If there is none.
    """
    return _values(folder / "config.yaml")


def run_configuration(run_folder: Path) -> Any:
    """The configuration that a run was made with.

    Raises
    ------
    InputError
        If the folder is no run, or a key of its configuration is not known any more.
    """
    path = require_run_folder(run_folder) / CONFIGURATION_FILE
    return settings.load(_values(path), str(path))
