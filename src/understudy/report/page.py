"""The report: one self-contained page for people, ``report.json`` for programs."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from understudy.report import numbers, panels, verdicts
from understudy.report.costs import Cost, study_costs
from understudy.report.goals import GOAL, LEAST, MISSED, OPEN, REPORTED
from understudy.report.origins import Origins, read_origins
from understudy.report.overview import PAGE_PROGRAM, REACHED, StudyOverview, figure_id, figure_origin, study_overview
from understudy.report.results import StudyResults, TargetGroup, read_study, words
from understudy.report.sections import Section, read_sections
from understudy.report.style import styled
from understudy.report.summary import summarise
from understudy.report.timings import Timing, read_timings
from understudy.surrogate.metrics import DEFINITIONS

_DEPLOYMENT_KEYS = (
    "n",
    "seconds",
    "seconds_two_threads",
    "seconds_per_case",
    "seconds_per_case_direct",
    "direct_n",
    "direct_wall_s",
    "direct_ranks",
    "threads",
    "device",
    "impact",
)
# What programs note beside the times of a deployment: words for people, and how a value is shown.
_DEPLOYMENT_FACTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "setup_s": ("Surrogate, made once for all cases", numbers.duration),
    "solve_s": ("Simulation that the cases share, once", numbers.duration),
    "field_sampling_s": ("Surrogate: sampling of the field, all cases", numbers.duration),
    "features_s": ("Surrogate: input features, all cases", numbers.duration),
    "network_s": ("Surrogate: network and interval, all cases", numbers.duration),
    "placement": ("Shown for", lambda name: name.replace("second_head", "second-head").replace("heldout", "held-out")),
    "cells": ("Cells", numbers.count),
    "vertices": ("Vertices of the surface", numbers.count),
    "azimuths": ("Azimuths of each cell", numbers.count),
    "outside": ("Cases left out, because their input is not known", numbers.count),
    "flagged_share": ("Flagged as unlike the training data", numbers.percent),
    "checked": ("Cases that were simulated directly too", numbers.count),
    "waves": ("Cases with a wave", numbers.count),
    "missed": ("Cases with a wave in one of the two alone", numbers.count),
    "speed_error_median": ("Error of the waves' speed, median", lambda value: numbers.percent(value, 2)),
    "speed_error_max": ("Error of the waves' speed, largest", lambda value: numbers.percent(value, 2)),
}
_SEVERITIES = ("failure", "warning", "note")
_REACHED_WORDS = {
    GOAL: "reach the goal",
    LEAST: "reach what was asked at least",
    REPORTED: "only reported",
    OPEN: "not measured or not judged",
    MISSED: "missed",
}


def _template(name: str) -> str:
    return resources.files("understudy.report").joinpath(name).read_text(encoding="utf-8")


def environment() -> Environment:
    """The templates of the page and of the index of published results, with what they share."""
    environment = Environment(
        loader=FunctionLoader(_template),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    for function in (
        numbers.score,
        numbers.percent,
        numbers.count,
        numbers.quantity,
        numbers.duration,
        numbers.hours,
        numbers.memory,
        numbers.apart,
        numbers.typeset,
        words,
    ):
        environment.filters[function.__name__] = function
    environment.globals["span"] = numbers.span
    environment.globals["score"] = numbers.score
    environment.globals["percent"] = numbers.percent
    environment.globals["reached_marks"] = REACHED
    environment.globals["reached_words"] = _REACHED_WORDS
    environment.globals["page_program"] = PAGE_PROGRAM
    environment.globals["css"] = Markup(_template("page.css"))
    return environment


def _card(results: StudyResults, target: str) -> dict[str, Any]:
    """Headline numbers of one target beside the noise floor, the best baseline and the published range."""
    name, baseline = verdicts.best_baseline(results, target)
    rows = [("Noise floor", results.metrics["noise_floor"].get(target, {}))]
    rows.append((f"Best baseline: {results.baseline_label(name)}", baseline))
    published = results.presentation.get("published", {}).get(target)
    if published:
        rows.append(("Published", published))
    return {
        "label": results.label(target),
        "errors": results.metrics["targets"][target],
        "rows": rows,
        "standing": verdicts.standing(results, target),
    }


def _table(results: StudyResults, group: TargetGroup) -> list[dict[str, Any]]:
    """All error measures of the group's targets, as rows."""
    rows = []
    for target in group.targets:
        name, baseline = verdicts.best_baseline(results, target)
        rows.append(
            {
                "label": results.label(target),
                "unit": results.unit(target),
                "errors": results.metrics["targets"][target],
                "floor": results.metrics["noise_floor"].get(target, {}),
                "baseline_name": results.baseline_label(name),
                "baseline": baseline,
                "random": results.metrics["cross_validation"]["random"].get(target, {}),
                "grouped": results.metrics["cross_validation"]["grouped"].get(target, {}),
                "comparisons": verdicts.comparisons(results, target),
                "standing": verdicts.standing(results, target),
                "judged": results.metrics["coverage_judgement"].get(target, {}),
                "baseline_intervals": dict(_baseline_intervals(results, target)),
                "subsets": {
                    subset: entry["targets"].get(target, {}) for subset, entry in results.metrics["subsets"].items()
                },
            }
        )
    return rows


def _group(results: StudyResults, group: TargetGroup) -> dict[str, Any]:
    return {
        "title": group.title,
        "headline": group.headline,
        "cards": [_card(results, target) for target in group.targets] if group.headline else [],
        "rows": _table(results, group),
        "scatter": panels.scatter_pictures(results, group),
        "errors": panels.error_picture(results, group),
        "paired": panels.paired_picture(results, group),
        "folds": panels.fold_picture(results, group),
        "curves": panels.curve_pictures(results, group),
        "coverage": panels.coverage_pictures(results, group),
    }


def _figure(results: StudyResults, entry: Mapping[str, Any], origins: Origins) -> dict[str, Any]:
    """One of the study's own figures, embedded, with its title, its caption and the job that made it."""
    title, caption = entry.get("title", ""), entry.get("caption", "")
    alt = entry.get("alt") or f"{title}. {caption}".strip()
    picture = panels.from_file(results.folder / "figures" / entry["file"], alt)
    origin = figure_origin(origins, results.name, entry["file"])
    return {
        "id": figure_id(results.name, entry["file"]),
        "picture": picture,
        "title": title,
        "caption": caption,
        "origin": origin,
    }


def _study_figures(results: StudyResults, origins: Origins) -> dict[str, list[dict[str, Any]]]:
    """The study's own figures by the section that they belong to: the simulation, or the surrogate in use."""
    sections: dict[str, list[dict[str, Any]]] = {"simulation": [], "use": []}
    for entry in results.presentation.get("figures", []):
        sections["use" if entry.get("section") == "use" else "simulation"].append(_figure(results, entry, origins))
    return sections


def _section(results: StudyResults, section: Section, origins: Origins) -> dict[str, Any]:
    return {
        "id": f"{results.name}-{section.id}",
        "title": section.title,
        "text": section.text,
        "table": section.table,
        "figures": [_figure(results, entry, origins) for entry in section.figures],
    }


def _slots(results: StudyResults, origins: Origins) -> dict[str, list[dict[str, Any]]]:
    """The study's own sections by slot."""
    where = str(results.folder / "figures" / "presentation.json")
    return {
        slot: [_section(results, section, origins) for section in sections]
        for slot, sections in read_sections(results.presentation, where).items()
    }


def _deployment(results: StudyResults) -> list[tuple[str, str]]:
    """The surrogate in use against direct simulation, as label and value."""
    deployment = results.in_use
    device = deployment.get("device", numbers.MISSING)
    rows = [
        ("Cases", numbers.count(deployment["n"])),
        ("Surrogate, wall time", numbers.duration(deployment["seconds"])),
        ("Surrogate, per case", numbers.duration(deployment["seconds"] / deployment["n"])),
        ("Device and threads", f"{device}, {deployment.get('threads', numbers.MISSING)}"),
    ]
    if numbers.is_number(deployment.get("seconds_two_threads")):
        rows.append(("Surrogate on two threads, wall time", numbers.duration(deployment["seconds_two_threads"])))
    includes = (results.presentation.get("direct_cost") or {}).get("includes", "measured, one core")
    rows.append(
        (f"Direct simulation, per case ({includes})", numbers.duration(deployment.get("seconds_per_case_direct")))
    )
    ratio = verdicts.speed_up(deployment)
    if verdicts.directly_measured(deployment):
        wall, ranks = numbers.duration(deployment["direct_wall_s"]), deployment["direct_ranks"]
        rows.append(("Direct simulation of all, wall time (measured)", f"{wall} on {numbers.cores(ranks)}"))
    if ratio is not None:
        direct = deployment["n"] * deployment["seconds_per_case_direct"]
        kind = "processor time" if verdicts.directly_measured(deployment) else "one core, extrapolated"
        rows.append((f"Direct simulation of all ({kind})", numbers.duration(direct)))
        rows.append(("Speed-up, core against core", f"{numbers.many(ratio)} ×"))
    other = verdicts.other_direct_cost(results)
    if other is not None:
        seconds, included = other
        speed = numbers.many(deployment["n"] * seconds / deployment["seconds"])
        rows.append((f"Direct simulation, per case ({included})", f"{numbers.duration(seconds)}: {speed} ×"))
    for key, (title, show) in _DEPLOYMENT_FACTS.items():
        if deployment.get(key) is not None:
            rows.append((title, show(deployment[key])))
    others = (key for key in deployment if key not in _DEPLOYMENT_KEYS and key not in _DEPLOYMENT_FACTS)
    rows += [(words(key), numbers.quantity(deployment[key])) for key in others]
    if deployment.get("impact"):
        rows.insert(0, ("Shown for", str(deployment["impact"])))
    return rows


def _baseline_intervals(results: StudyResults, target: str) -> list[tuple[str, Mapping[str, Any]]]:
    """Coverage and mean width of the intervals of the baselines that have some."""
    entries = results.metrics.get("baseline_intervals") or {}
    return [(results.baseline_label(name), entry[target]) for name, entry in entries.items() if entry.get(target)]


def _study(results: StudyResults, costs: Sequence[Cost], origins: Origins) -> dict[str, Any]:
    """Everything that the page says about one study."""
    presentation = results.presentation
    # First, because a presentation that is not one shall be refused before time is spent on drawing.
    slots, own_figures = _slots(results, origins), _study_figures(results, origins)
    lead = presentation.get("lead")
    checks = results.verification
    held = results.heldout
    random = held.subset == "random"
    return {
        "name": results.name,
        "title": presentation["title"],
        "question": presentation.get("question", ""),
        "notes": presentation.get("notes", []),
        "limits": presentation.get("limits", []),
        "lead": _figure(results, lead, origins) if lead else None,
        "in_short": [*presentation.get("in_short", []), *verdicts.in_short(results)],
        "what_was_run": presentation.get("what_was_run", []),
        "n_train": results.metrics["n_train"],
        "n_heldout": results.metrics["n_heldout"],
        "subsets": results.metrics["subsets"],
        "baselines": [results.baseline_label(name) for name in results.baselines],
        "has_worst": bool((~random).any()),
        "other_cases": results.presentation.get("other_cases", "cases of the other evaluation sets"),
        "flagged": {
            name: float(held.flagged[held.subset == name].mean())
            for name in results.metrics["subsets"]
            if (held.subset == name).any()
        },
        "groups": [_group(results, group) for group in results.groups()],
        "curve_key": panels.curve_key(results),
        "checks": checks,
        "checks_passed": sum(bool(check["passed"]) for check in checks),
        "figures": own_figures,
        "slots": slots,
        "costs": costs,
        "baseline_intervals": [
            results.baseline_label(name) for name in results.metrics.get("baseline_intervals") or {}
        ],
        "deployment": _deployment(results),
        "has_published": bool(presentation.get("published")),
    }


def _audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    findings = sorted(audit["findings"], key=lambda entry: _SEVERITIES.index(entry["severity"]))
    counts = {severity: sum(entry["severity"] == severity for entry in findings) for severity in _SEVERITIES}
    return {"passed": bool(audit["passed"]), "findings": findings, "counts": counts, "files": audit.get("files")}


def _overview(results: StudyResults, costs: Sequence[Cost], origins: Origins) -> StudyOverview:
    """The study in the index over all studies of the page."""
    return study_overview(
        results.name, results.presentation, results.metrics, results.verification, costs, origins, below=""
    )


def _shared(timings: Sequence[Timing], studies: Sequence[str]) -> list[Timing]:
    """Timings of rules that work for all studies at once."""
    return [entry for entry in timings if entry.rule.partition(" · ")[0] not in studies]


def write_report(run_folder: Path, studies: Sequence[str], audit: Mapping[str, Any], html: Path, json: Path) -> None:
    """Write the page and its numbers.

    Parameters
    ----------
    run_folder : ``results/<run>``.
    studies : names of the studies to show; each has its folder below ``run_folder``.
    audit : the verdict on everything upstream of the report.
    html, json : where to write.

    Raises
    ------
    InputError
        If a file that the report shows is missing or is not what its name says.
    """
    read = [read_study(run_folder, study) for study in studies]
    run = run_folder.resolve().name
    timings = read_timings(run_folder / "benchmarks")
    origins = read_origins(run_folder)
    costs = {
        results.name: study_costs(timings, results.name, results.presentation.get("cost_groups") or [])
        for results in read
    }
    with styled():
        shown = [_study(results, costs[results.name], origins) for results in read]
    text = (
        environment()
        .get_template("page.html")
        .render(
            run=run,
            studies=shown,
            overviews=[_overview(results, costs[results.name], origins) for results in read],
            audit=_audit(audit),
            timings=timings,
            shared_timings=_shared(timings, studies),
            total_wall_s=sum(entry.wall_s for entry in timings),
            total_cpu_s=sum(entry.cpu_s or 0.0 for entry in timings),
            origins=origins,
            definitions=DEFINITIONS,
        )
    )
    html.write_text(text, encoding="utf-8")
    numbers_text = json_format.dumps(summarise(run, read, costs, audit), indent=2, sort_keys=True, allow_nan=False)
    json.write_text(numbers_text + "\n", encoding="utf-8")
