"""The layout of ``results/<run>/`` as provenance sees it: what is a result, what is not, and how a path is written."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.provenance.fingerprint import REPOSITORY

# Written with the stage files when Snakemake parses the configuration: this file makes a folder a run.
CONFIGURATION_FILE = "config/configuration.yaml"
COMMAND_FILE = "config/command.json"
WORK_FOLDER = ".work"
RECORD_SUFFIX = ".prov.json"
# What `understudy crate` adds to a run: its metadata, and the workflow's own files.
CRATE_FILE = "ro-crate-metadata.json"
WORKFLOW_FOLDER = "workflow"
# First folder of a run that holds no results.
_NOT_RESULTS = ("logs", "benchmarks", WORK_FOLDER, ".snakemake", WORKFLOW_FOLDER)
# The verdict and what embeds it: everything else of a run lies upstream of them.
REPORT_FILES = ("audit.json", "report.html", "report.json")
# Part of the name of a file that a job has not finished.
PARTIAL = ".partial"


def run_folder_of(path: Path) -> Path | None:
    """The run folder above ``path``, or None for a path outside any run."""
    for folder in Path(path).resolve().parents:
        if (folder / CONFIGURATION_FILE).is_file():
            return folder
    return None


def require_run_folder(path: Path) -> Path:
    """``path`` as an absolute run folder.

    Raises
    ------
    InputError
        If there is no such folder or it holds no run.
    """
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise InputError(f"{path}: no such folder; accepted is the folder of a run, results/<run>")
    if not (folder / CONFIGURATION_FILE).is_file():
        raise InputError(f"{path}: found no {CONFIGURATION_FILE}; accepted is the folder of a run, results/<run>")
    return folder


def is_configuration(relative: str) -> bool:
    """Whether a path relative to the run folder lies below a ``config/`` folder."""
    return "config" in Path(relative).parts[:-1]


def is_partial(relative: str) -> bool:
    """Whether this is a file that a job had not finished."""
    name = Path(relative).name
    return name.startswith(".") and PARTIAL in name


def files_of(run_folder: Path) -> Iterator[str]:
    """Paths, relative to the run folder and sorted, of results, records and unfinished files."""
    for folder, subfolders, names in os.walk(run_folder):
        relative = Path(folder).relative_to(run_folder)
        if relative == Path("."):
            subfolders[:] = [name for name in subfolders if name not in _NOT_RESULTS]
        subfolders[:] = sorted(name for name in subfolders if name != "config")
        for name in sorted(names):
            path = (relative / name).as_posix()
            if (not name.startswith(".") or is_partial(path)) and path != CRATE_FILE:
                yield path


EXTERNAL = "external:"
"""Before the name of a file from outside the repository whose place a published record does not tell."""

OUTSIDE = ("repository:", EXTERNAL, "~/", "/")
"""How the recorded path of a file from outside the run begins."""


def portable(path: Path, run_folder: Path) -> str:
    """A path as records hold it: below the run folder, else below the repository, else with ``~`` for the home folder.

    Paths below the run folder are relative to it; those of the repository start with ``repository:``.
    """
    resolved = Path(path).resolve()
    if resolved.is_relative_to(run_folder):
        return resolved.relative_to(run_folder).as_posix()
    if resolved.is_relative_to(REPOSITORY):
        return f"repository:{resolved.relative_to(REPOSITORY).as_posix()}"
    home = Path.home()
    if resolved.is_relative_to(home):
        return f"~/{resolved.relative_to(home).as_posix()}"
    return resolved.as_posix()


def located(recorded: str, run_folder: Path) -> Path:
    """The inverse of `portable`."""
    if recorded.startswith("repository:"):
        return REPOSITORY / recorded.removeprefix("repository:")
    if recorded.startswith("~/"):
        return Path.home() / recorded.removeprefix("~/")
    return run_folder / recorded


@cache
def _digest(path: Path, inode: int, size: int, mtime_ns: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, or of a folder's names and files; each unchanged file is read once per process."""
    path = Path(path)
    if path.is_dir():
        total = hashlib.sha256()
        for entry in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            total.update(f"{entry.relative_to(path).as_posix()}\0{file_sha256(entry)}\n".encode())
        return total.hexdigest()
    status = path.stat()
    return _digest(path.resolve(), status.st_ino, status.st_size, status.st_mtime_ns)


def size_bytes(path: Path) -> int:
    """Size of a file, or of all files of a folder."""
    path = Path(path)
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    return path.stat().st_size


_COMMAND_TYPES = {"configfiles": list, "config": list, "cores": int, "profile": str, "targets": list}


def recorded_command(run_folder: Path) -> dict[str, Any]:
    """How the run was started: ``configfiles``, ``config``, ``cores``, ``profile``, ``targets``; keys may be missing.

    Raises
    ------
    InputError
        If the file is there and is not JSON, or not what `settings.write_command` writes.
    """
    path = run_folder / COMMAND_FILE
    try:
        command = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: found no JSON ({error}); `snakemake -n` writes it again") from None
    if not isinstance(command, dict):
        raise InputError(f"{path}: found {command!r}, accepted is an object; `snakemake -n` writes it again")
    for key, accepted in _COMMAND_TYPES.items():
        value = command.get(key)
        words = value if isinstance(value, list) else []
        if not isinstance(value, accepted | None) or not all(isinstance(word, str) for word in words):
            wanted = f"accepted is {accepted.__name__} or null"
            raise InputError(f"{path}: {key}: found {value!r}, {wanted}; `snakemake -n` writes it again")
    return command


def snakemake_arguments(run_folder: Path) -> list[str]:
    """Arguments with which Snakemake meets the configuration of this run again."""
    command = recorded_command(run_folder)
    arguments = []
    if command.get("profile"):
        arguments += ["--workflow-profile", command["profile"]]
    # A run on a cluster has no cores of its own: the profile says how many jobs there may be.
    if command.get("cores") or not arguments:
        arguments += ["--cores", str(command.get("cores") or 2)]
    configfiles = []
    # Nothing is noted after a dry run: the run's own configuration stands for all its sources in any case.
    own = Path(*run_folder.resolve().parts[-2:]) / CONFIGURATION_FILE
    for name in command.get("configfiles") or [own.as_posix()]:
        path = Path(name)
        inside = path.is_absolute() and path.resolve().is_relative_to(REPOSITORY)
        configfiles.append(path.resolve().relative_to(REPOSITORY).as_posix() if inside else name)
    # The Snakefile's own `configfile:` is read in any case.
    configfiles = [name for name in configfiles if name != "config/config.yaml"]
    if configfiles:
        arguments += ["--configfile", *configfiles]
    if command.get("config"):
        arguments += ["--config", *map(str, command["config"])]
    return arguments


def _advised_arguments(run_folder: Path) -> list[str]:
    """As `snakemake_arguments`; none where they cannot be read, because what the advice belongs to must be told."""
    try:
        return snakemake_arguments(run_folder)
    except (InputError, OSError):
        return []


def rerun_command(run_folder: Path, rule: str) -> str:
    """The command that runs ``rule`` of this run again and what depends on it."""
    return shlex.join(["snakemake", *_advised_arguments(run_folder), "-R", rule])


def produce_command(run_folder: Path, relative: str) -> str:
    """The command that produces one file of this run."""
    path = run_folder / relative
    target = path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else path.as_posix()
    return shlex.join(["snakemake", target, *_advised_arguments(run_folder)])
