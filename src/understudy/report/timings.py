"""Time and memory of every rule, from Snakemake's benchmark files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """One rule's resources; None where Snakemake did not sample them (jobs of a few seconds).

    Attributes
    ----------
    rule : name, with its study in front where it has one.
    wall_s, cpu_s : elapsed time, and processor time of the job and its children.
    memory_MB : largest resident memory of the job and its children together.
    """

    rule: str
    wall_s: float
    cpu_s: float | None
    memory_MB: float | None


def _number(text: str | None) -> float | None:
    try:
        return float(text)
    except (TypeError, ValueError):
        return None


def read_timings(folder: Path) -> list[Timing]:
    """Every benchmark file below ``folder``, in the order of the names; an absent folder gives none."""
    found = []
    for path in sorted(folder.rglob("*.tsv")):
        with path.open(newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        wall = _number(rows[-1].get("s")) if rows else None
        if wall is None:
            continue
        rule = ".".join((*path.relative_to(folder).parent.parts, path.stem)).replace(".", " · ")
        found.append(Timing(rule, wall, _number(rows[-1].get("cpu_time")), _number(rows[-1].get("max_rss"))))
    return found
