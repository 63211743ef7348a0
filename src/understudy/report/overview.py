"""The index over several studies: what was claimed and measured, what was verified and spent, how figures were made.

It is drawn from what each study hands in and from what every run holds: the table of goals (the section ``goals`` of
the presentation, as `understudy.report.goals.goals_table` writes it), checks, costs and provenance records. It serves
the page of a run, where all studies lie on one page, and the index of published results, where each has its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from understudy.report.costs import Cost
from understudy.report.goals import GOAL, LEAST, MISSED, OPEN, REPORTED
from understudy.report.origins import Origin, Origins
from understudy.report.sections import Cell, read_sections

GOALS_SECTION = "goals"
_CLAIM_COLUMNS = ("Published", "At least", "Goal")
_REACHED_COLUMN = "Reached"
# How many values reached what, worst first, with the mark of its chip.
REACHED = {MISSED: "worse", OPEN: "open", LEAST: "equal", REPORTED: "note", GOAL: "better"}

# What the page draws itself: title, section of the study's part of the page, and the files that it shows.
PAGE_FIGURES = (
    ("Predicted against simulated", "accuracy", ("surrogate/predictions.h5", "surrogate/metrics.json")),
    ("Errors and paired differences", "worth", ("surrogate/metrics.json",)),
    ("Coverage of the intervals", "intervals", ("surrogate/predictions.h5", "surrogate/metrics.json")),
    ("R² of every fold", "data", ("surrogate/cross_validation.h5",)),
    ("Learning curves", "data", ("surrogate/learning_curve.json",)),
)
PAGE_PROGRAM = "write_report"


@dataclass(frozen=True)
class Claim:
    """What was asked of one quantity, beside the published value and what was measured; or the heading of a part."""

    quantity: str
    part: str = ""
    published: str = ""
    least: str = ""
    goal: str = ""
    measured: tuple[Cell, ...] = ()
    reached: Cell | None = None


@dataclass(frozen=True)
class Verified:
    """The checks of one part of the physics; ``failed`` holds number (from 1) and name of those that fail."""

    part: str
    total: int
    failed: tuple[tuple[int, str], ...]

    @property
    def passed(self) -> int:
        return self.total - len(self.failed)


@dataclass(frozen=True)
class MadeFigure:
    """One figure: where the page shows it, and the job that made it.

    Attributes
    ----------
    anchor : id on the study's page.
    inputs : paths of the files that its job read, below the run; of a figure of the page, those that it shows.
    record : link to the provenance record, or to what the page says of it; empty where there is none.
    """

    title: str
    anchor: str
    program: str
    inputs: tuple[str, ...]
    fingerprint: str
    record: str


@dataclass(frozen=True)
class StudyOverview:
    """One study in the index.

    Attributes
    ----------
    address : page that tells the study, in front of ``#``; empty where it is the page of the index.
    outputs : what the measured values of a claim speak of, in their order; empty for one value.
    reached : kind of verdict -> number of values.
    costs : groups of rules and last their sum; none where nothing was timed.
    lead : link to the lead figure; empty where there is none.
    """

    name: str
    title: str
    question: str
    address: str
    n_train: int
    n_heldout: int
    outputs: tuple[str, ...]
    claims: tuple[Claim, ...]
    reached: Mapping[str, int]
    checks: tuple[Verified, ...]
    costs: tuple[Cost, ...]
    figures: tuple[MadeFigure, ...]
    lead: str

    @property
    def asked(self) -> int:
        """Number of values that were asked for."""
        return sum(self.reached.values())

    @property
    def checks_passed(self) -> int:
        return sum(entry.passed for entry in self.checks)

    @property
    def checks_total(self) -> int:
        return sum(entry.total for entry in self.checks)


def read_claims(presentation: Mapping[str, Any], where: str) -> tuple[tuple[str, ...], tuple[Claim, ...]]:
    """The table of goals as claims: names of the outputs, and one claim per row; none where a study has no such table.

    Raises
    ------
    InputError
        If a section of the presentation is not one; ``where`` names the file.
    """
    sections = [section for slot in read_sections(presentation, where).values() for section in slot]
    tables = [section.table for section in sections if section.id == GOALS_SECTION and section.table]
    titles = [column.title for column in tables[0].columns] if tables else []
    if tuple(titles[1:4]) != _CLAIM_COLUMNS or titles[-1] != _REACHED_COLUMN:
        return (), ()
    claims = []
    for row in tables[0].rows:
        if row.part:
            claims.append(Claim(quantity="", part=row.part))
            continue
        quantity, published, least, goal, *measured, reached = row.cells
        claims.append(
            Claim(
                quantity.text,
                published=published.text,
                least=least.text,
                goal=goal.text,
                measured=tuple(measured),
                reached=reached,
            )
        )
    return tuple(title for title in titles[4:-1] if title), tuple(claims)


def count_reached(goals: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many of the values that were asked for reached what; kinds that none reached are left out."""
    found = Counter(entry["reached"] for goal in goals for entry in goal["measured"])
    return {kind: found[kind] for kind in REACHED if found[kind]}


def verified(checks: Sequence[Mapping[str, Any]]) -> tuple[Verified, ...]:
    """The checks by part of the physics, in the order in which the parts first occur."""
    parts: dict[str, list[tuple[int, str, bool]]] = {}
    for number, check in enumerate(checks, start=1):
        parts.setdefault(check.get("part") or "physics", []).append((number, check["name"], bool(check["passed"])))
    return tuple(
        Verified(part, len(entries), tuple((number, name) for number, name, passed in entries if not passed))
        for part, entries in parts.items()
    )


def figure_id(study: str, file: str) -> str:
    """Id of a study's own figure on the page."""
    return f"{study}-figure-{PurePosixPath(file).stem.replace('_', '-')}"


def figure_origin(origins: Origins, study: str, file: str) -> Origin | None:
    """The job that made a study's own figure."""
    return next((job for job in origins.jobs if any(path == f"{study}/figures/{file}" for path, *_ in job.files)), None)


def _own_figures(presentation: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The study's figures as the presentation names them, in the order of the page, each file once."""
    lead = [presentation["lead"]] if presentation.get("lead") else []
    sections = [entry for section in presentation.get("sections") or [] for entry in section.get("figures") or []]
    entries = [*lead, *sections, *(presentation.get("figures") or [])]
    return list({entry["file"]: entry for entry in reversed(entries)}.values())[::-1]


def _made_figures(study: str, presentation: Mapping[str, Any], origins: Origins, below: str) -> list[MadeFigure]:
    def link(job: Origin) -> str:
        # The page of a run is also read where it is published, and there a study's records lie elsewhere: it leads to
        # its own row, which holds at both places.
        return below + job.record if below else f"#{job.anchor}"

    found = []
    for entry in _own_figures(presentation):
        job = figure_origin(origins, study, entry["file"])
        found.append(
            MadeFigure(
                title=entry.get("title") or entry["file"],
                anchor=figure_id(study, entry["file"]),
                program=job.program if job else "",
                inputs=job.inputs if job else (),
                fingerprint=job.fingerprint if job else "",
                record=link(job) if job else "",
            )
        )
    return found


def study_overview(
    name: str,
    presentation: Mapping[str, Any],
    metrics: Mapping[str, Any],
    checks: Sequence[Mapping[str, Any]],
    costs: Sequence[Cost],
    origins: Origins,
    address: str = "",
    below: str = "",
) -> StudyOverview:
    """One study's part of the index.

    Parameters
    ----------
    name : of the study.
    presentation : as the study hands it in.
    metrics : holds ``n_train`` and ``n_heldout``.
    checks, costs : as the page of the study shows them.
    origins : the jobs of its run.
    address : page that tells the study, where it is not this one.
    below : the folder of the study's files, with a slash, where it is not the run's.
    """
    outputs, claims = read_claims(presentation, f"{name}/figures/presentation.json")
    own = _made_figures(name, presentation, origins, below)
    # The record of the page is written when the page is.
    drawn = [
        MadeFigure(
            title,
            f"{name}-{section}",
            PAGE_PROGRAM,
            tuple(f"{name}/{path}" for path in paths),
            "",
            f"{below}report.html.prov.json",
        )
        for title, section, paths in PAGE_FIGURES
    ]
    lead = presentation.get("lead")
    return StudyOverview(
        name=name,
        title=presentation["title"],
        question=presentation.get("question", ""),
        address=address,
        n_train=metrics["n_train"],
        n_heldout=metrics["n_heldout"],
        outputs=outputs,
        claims=claims,
        reached=count_reached(presentation.get("goals") or []),
        checks=verified(checks),
        costs=tuple(costs),
        figures=(*own, *drawn),
        lead=f"{below}figures/{lead['file']}" if lead else "",
    )
