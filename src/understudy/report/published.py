"""The index of published results, ``results/reference/index.html``: all published studies on one page.

It is written from what lies in the studies' folders alone, reports, presentations and records, so that it can be made
anew whenever one of them is published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.errors import InputError
from understudy.report.costs import Cost
from understudy.report.origins import read_origins
from understudy.report.overview import StudyOverview, study_overview
from understudy.report.page import environment
from understudy.report.results import read_json

INDEX_FILE = "index.html"


@dataclass(frozen=True)
class Published:
    """One published study: its part of the index, findings in a few words, and the verdict of its run's audit."""

    overview: StudyOverview
    in_short: tuple[str, ...]
    limits: tuple[str, ...]
    run: str
    audit_passed: bool
    ended: str


def _cost(entry: Mapping[str, Any]) -> Cost:
    return Cost(entry["title"], tuple(entry["rules"]), entry["wall_s"], entry["core_hours"])


def read_published(folder: Path) -> Published:
    """One study's published results.

    Parameters
    ----------
    folder : ``results/reference/<study>``.

    Raises
    ------
    InputError
        If its report or its presentation is missing or is none.
    """
    study = folder.name
    report = read_json(folder / "report.json")
    entry = report.get("studies", {}).get(study)
    if entry is None:
        raise InputError(
            f"{folder / 'report.json'}: found no study {study!r}; accepted is what understudy publish wrote"
        )
    presentation = read_json(folder / "figures" / "presentation.json")
    origins = read_origins(folder)
    overview = study_overview(
        study,
        presentation,
        entry,
        entry["verification"],
        # Reports that were published before they told their cost have none.
        [_cost(cost) for cost in entry.get("cost", [])],
        origins,
        address=f"{study}/report.html",
        below=f"{study}/",
    )
    return Published(
        overview=overview,
        in_short=tuple(presentation.get("in_short", ())),
        limits=tuple(presentation.get("limits", ())),
        run=report["run"],
        audit_passed=report["audit"]["passed"],
        ended=origins.jobs[-1].end[:10] if origins.jobs else "",
    )


def published_index(reference: Path) -> str:
    """The page over all published studies, as HTML.

    Parameters
    ----------
    reference : ``results/reference``; each folder below it with a ``report.json`` is a published study.

    Raises
    ------
    InputError
        If a study's report or presentation is none.
    """
    studies = [read_published(path.parent) for path in sorted(reference.glob("*/report.json"))]
    return (
        environment()
        .get_template("published.html")
        .render(published=studies, studies=[study.overview for study in studies])
    )


def write_published_index(reference: Path) -> Path:
    """Write the page over all published studies; its path."""
    path = reference / INDEX_FILE
    path.write_text(published_index(reference), encoding="utf-8")
    return path
