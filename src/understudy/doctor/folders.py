"""Writable folders, locks, and results that Snakemake has no metadata of."""

from __future__ import annotations

import os
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

from understudy.doctor.finding import Finding
from understudy.provenance.processes import living_workflows
from understudy.provenance.record import records_in
from understudy.provenance.run_folder import COMMAND_FILE

_NAMED = 3
# Longest name of a metadata file; longer ones are split into folders (snakemake.persistence.file).
_LONGEST_NAME = 255


def _problem(folder: Path) -> str | None:
    """Why a file cannot be made in a folder (or in the one that it would be made in); None where it can."""
    place = next(one for one in (folder, *folder.parents) if one.exists())
    try:
        # Permissions alone do not tell: read-only file systems and root differ from them.
        with tempfile.TemporaryFile(dir=place):
            return None
    except OSError as error:
        return error.strerror or str(error)


def workflow(project: Path) -> list[Finding]:
    """Whether the workflow is here at all: Snakemake reads the Snakefile of the folder that it is started in."""
    if (project / "Snakefile").is_file():
        return []
    return [Finding("project", "problem", f"{project}: found no Snakefile", "go to the folder of the clone")]


def writable(project: Path, run: str) -> list[Finding]:
    """Folders that a run writes to: results, Snakemake's books, temporary files, compiled kernels."""
    places = {
        project / "results" / run: "give write permission, or copy the project to a folder of your own",
        project / ".snakemake": "give write permission, or run in a copy of the project",
        Path(tempfile.gettempdir()): "set TMPDIR to a writable folder",
        _kernels(project): "set NUMBA_CACHE_DIR to a writable folder, or every job compiles its kernels again",
    }
    wrong = [(place, why, advice) for place, advice in places.items() if (why := _problem(place)) is not None]
    if not wrong:
        return [Finding("folders", "good", "results, Snakemake's books, temporary files and kernels can be written")]
    return [
        Finding("folders", "problem", f"{place}: cannot be written ({why})", advice) for place, why, advice in wrong
    ]


def _kernels(project: Path) -> Path:
    """Where numba keeps compiled kernels."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    return Path(chosen) if chosen else project / "src" / "understudy"


def locked(project: Path) -> list[Finding]:
    """A lock that a killed Snakemake left, or a living Snakemake that holds it."""
    locks = project / ".snakemake" / "locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return []
    living = living_workflows(project)
    if living:
        numbers = ", ".join(map(str, living))
        return [Finding("lock", "note", f"Snakemake works here (process {numbers})")]
    return [Finding("lock", "problem", "a killed Snakemake left its lock", "understudy resume continues its run")]


def _metadata(books: Path, output: str) -> Path:
    """Where Snakemake keeps what it knows of an output, by its path relative to the project."""
    name = urlsafe_b64encode(output.encode()).decode()
    size = _LONGEST_NAME - 1
    parts = [name[at : at + size] for at in range(0, len(name), size)]
    return books.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])


def _runs(project: Path) -> Iterator[Path]:
    yield from sorted(path.parents[1] for path in (project / "results").glob(f"*/{COMMAND_FILE}"))


def metadata(project: Path) -> list[Finding]:
    """Results that Snakemake has no metadata of: copied without its books, their rules would not see a change."""
    books = project / ".snakemake" / "metadata"
    found = []
    for run in _runs(project):
        outputs = [
            Path(os.path.relpath(run / entry["path"], project)).as_posix()
            for record in records_in(run).values()
            for entry in record["outputs"]
            if (run / entry["path"]).is_file()
        ]
        unknown = [output for output in outputs if not _metadata(books, output).is_file()]
        if unknown:
            more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
            found.append(
                Finding(
                    "metadata",
                    "warning",
                    f"{run.relative_to(project)}: Snakemake has no metadata of {', '.join(unknown[:_NAMED])}{more}; it "
                    "would not rerun them after a change of code or keys",
                    f"judge them with `understudy audit {run.relative_to(project)}`; what it calls stale: "
                    "snakemake --forcerun <rule>",
                )
            )
    if not found:
        found.append(Finding("metadata", "good", "Snakemake has metadata of every result"))
    return found
