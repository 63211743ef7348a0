"""What the TMS study was to reach, set before it was run, and what it measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from understudy.report.goals import GOAL, MISSED, OPEN, REPORTED, Goal, Measured, judge
from understudy.report.numbers import MISSING, is_number, many, percent, score
from understudy.report.wording import inside
from understudy.tms.thresholds import TARGET

NAMES = {"L23_PC": "L2/3 pyramidal", "L4_LBC": "L4 large basket", "L5_TTPC": "L5 thick-tufted"}
"""Types of cells for people, in the order of tables."""

PER_CELL_MAPE = (0.025, 0.015)
UNIFORM_RATIO = 0.4
ALL_CELLS_MAPE = (0.025, 0.01)
R2 = (0.97, 0.99)
SECOND_HEAD_MAPE = (0.035, 0.02)
UNSEEN_PULSE_MAPE = (0.05, 0.02)
UNSEEN_CELL_MAPE = 0.10
ENGINE_RATIO = (100.0, 1000.0)
SCRIPT_RATIO = (5000.0, 50_000.0)
LEAST_UNIFORM_MAPE = 0.04
"""A held-out set on which the uniform approximation errs by less cannot tell models apart."""


def _by_type(
    results: Mapping[str, Any],
    value: Callable[[str], Any],
    asked: tuple[float | None, float],
    show: Callable[[Any], str],
    above: bool,
    note: Callable[[str], str] = lambda kind: "",
    also: Callable[[str], bool] = lambda kind: True,
) -> tuple[Measured, ...]:
    """One value per type of cell; ``also`` tells whether the further conditions of the least value hold."""
    least, goal = asked
    measured = []
    for kind in NAMES:
        found = value(kind)
        reached = judge(found, least, goal, above)
        if reached not in (OPEN, REPORTED) and not also(kind):
            reached = MISSED
        measured.append(Measured(kind, found, show(found), reached, note(kind), least, goal))
    return tuple(measured)


def _models(results: Mapping[str, Any], subset: str, kind: str) -> Mapping[str, Any]:
    return inside(results.get("comparison"), "sets", subset, "types", kind, "models") or {}


def _beats_simple_models(results: Mapping[str, Any], model: str, kind: str) -> bool:
    """At most 0.4 of the uniform map's error, and below uniform plus gradient by the whole paired interval."""
    models = _models(results, "random", kind)
    own, uniform = inside(models, model, "mape"), inside(models, "uniform_map", "mape")
    high = inside(
        results.get("comparison"),
        "sets",
        "random",
        "types",
        kind,
        "paired",
        model,
        "uniform_gradient",
        "difference",
        "high",
    )
    return is_number(own) and is_number(uniform) and own <= UNIFORM_RATIO * uniform and is_number(high) and high < 0


def _uniform_note(results: Mapping[str, Any], subset: str, model: str) -> Callable[[str], str]:
    """The uniform map's error beside the value, and whether the set can support a claim."""

    def note(kind: str) -> str:
        models = _models(results, subset, kind)
        own, uniform = inside(models, model, "mape"), inside(models, "uniform_map", "mape")
        if not (is_number(own) and is_number(uniform)):
            return ""
        words = f"{own / uniform:.2f} of the uniform map's {percent(uniform)}"
        return words if uniform >= LEAST_UNIFORM_MAPE else f"{words}: too easy a set for a claim"

    return note


def _per_cell(results: Mapping[str, Any]) -> Goal:
    model = "network_per_cell"
    return Goal(
        "MAPE, one network per cell",
        "MAPE with one network per cell",
        "Held-out patches and placements",
        "< 2.5 %",
        "2.5 %, 0.4 of the uniform map's, below uniform + gradient",
        percent(PER_CELL_MAPE[1]),
        _by_type(
            results,
            lambda kind: inside(_models(results, "random", kind), model, "mape"),
            PER_CELL_MAPE,
            lambda value: percent(value, 2),
            False,
            _uniform_note(results, "random", model),
            lambda kind: _beats_simple_models(results, model, kind),
        ),
    )


def _one_network(results: Mapping[str, Any], measure: str) -> Goal:
    mape = measure == "mape"
    return Goal(
        "MAPE, one network for all cells and pulses" if mape else "R², the same network",
        "MAPE with one network for all cells" if mape else "R² of that network",
        "Held-out patches and placements",
        "none" if mape else "> 0.96",
        percent(ALL_CELLS_MAPE[0]) if mape else score(R2[0]),
        percent(ALL_CELLS_MAPE[1]) if mape else score(R2[1]),
        _by_type(
            results,
            lambda kind: inside(_models(results, "random", kind), "network", measure),
            ALL_CELLS_MAPE if mape else R2,
            (lambda value: percent(value, 2)) if mape else score,
            not mape,
            _uniform_note(results, "random", "network") if mape else lambda kind: "",
        ),
    )


def _second_head(results: Mapping[str, Any]) -> Goal:
    return Goal(
        "MAPE in the second head",
        "MAPE in the second head",
        "Beyond the training data",
        "held-out head: < 2.5 %",
        percent(SECOND_HEAD_MAPE[0]),
        percent(SECOND_HEAD_MAPE[1]),
        _by_type(
            results,
            lambda kind: inside(_models(results, "second_head", kind), "network", "mape"),
            SECOND_HEAD_MAPE,
            lambda value: percent(value, 2),
            False,
            _uniform_note(results, "second_head", "network"),
        ),
    )


def _single(
    quantity: str,
    short: str,
    part: str,
    words: tuple[str, str, str],
    value: Any,
    asked: tuple[float | None, float | None],
    show: Callable[[Any], str],
    above: bool,
    note: str = "",
) -> Goal:
    published, least, goal = words
    reached = judge(value, *asked, above)
    return Goal(
        quantity, short, part, published, least, goal, (Measured("", value, show(value), reached, note, *asked),)
    )


def _unseen_pulse(results: Mapping[str, Any]) -> Goal:
    subset = inside(results["metrics"], "subsets", "unseen_pulse") or {}
    return _single(
        "MAPE for a pulse never trained on",
        "MAPE for a pulse never trained on",
        "Beyond the training data",
        ("none", percent(UNSEEN_PULSE_MAPE[0]), percent(UNSEEN_PULSE_MAPE[1])),
        inside(subset, "targets", TARGET, "mape"),
        UNSEEN_PULSE_MAPE,
        lambda value: percent(value, 2),
        False,
    )


def _unseen_cell(results: Mapping[str, Any]) -> Goal:
    found = inside(results.get("comparison"), "left_out_cells") or {}
    values = [entry["mape"] for entry in found.values() if is_number(entry.get("mape"))]
    note = "; ".join(f"{name} {percent(entry['mape'])}" for name, entry in sorted(found.items()))
    return _single(
        "MAPE for a reconstructed cell never trained on, worst",
        "MAPE for a reconstructed cell never trained on",
        "Beyond the training data",
        ("none", "reported", percent(UNSEEN_CELL_MAPE)),
        max(values) if values else None,
        (None, UNSEEN_CELL_MAPE),
        percent,
        False,
        note or "no reconstructed cell in this run",
    )


def _intervals(results: Mapping[str, Any]) -> Goal:
    judged = inside(results["metrics"], "coverage_judgement", TARGET) or {}
    passed = judged.get("passed")
    reached = OPEN if passed is None else GOAL if passed else MISSED
    text = percent(judged.get("coverage")) if is_number(judged.get("coverage")) else MISSING
    return Goal(
        "90 % intervals",
        "coverage of the 90 % intervals",
        "Use",
        "none",
        "pass",
        "pass",
        (Measured("", judged.get("coverage"), text, reached, str(judged.get("reason") or "")),),
    )


def _speed(results: Mapping[str, Any], name: str, words: str, asked: tuple[float, float]) -> Goal:
    own = inside(results.get("deployment"), "seconds_per_case")
    other = inside(results.get("verification"), "timing", f"{name}_s_per_threshold")
    ratio = other / own if is_number(own) and is_number(other) and own > 0 else None
    farmed = inside(results.get("deployment"), "seconds_per_case_direct")
    note = ""
    if name == "engine" and ratio is not None and is_number(farmed):
        note = f"{many(farmed / own)}× over a threshold of the ground truth, all its work included"
    return _single(
        f"Thresholds per second, surrogate with field sampling over {words}, one core",
        f"speed over {words}",
        "Use",
        ("2–4 orders of magnitude", f"{asked[0]:,.0f}×", f"{asked[1]:,.0f}×"),
        ratio,
        asked,
        lambda value: f"{many(value)}×" if is_number(value) else MISSING,
        True,
        note,
    )


def study_goals(results: Mapping[str, Any]) -> list[Goal]:
    """All goals in the order of the table; ``results`` holds the contents of the run's result files by name."""
    return [
        _per_cell(results),
        _one_network(results, "mape"),
        _one_network(results, "r2"),
        _second_head(results),
        _unseen_pulse(results),
        _unseen_cell(results),
        _intervals(results),
        _speed(results, "engine", "our engine", ENGINE_RATIO),
        _speed(results, "script", "the NEURON script", SCRIPT_RATIO),
    ]
