"""Goals that a study set before it was run, beside what it measured: judged, as a table, in words and as data.

Each goal has a published value where there is one, a value that is asked at least, and one to aim at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from understudy.report.numbers import apart, is_number

GOAL, LEAST, MISSED, REPORTED, OPEN = "goal", "at least", "missed", "reported", "open"
_MARKS = {GOAL: "better", LEAST: "equal", MISSED: "worse", REPORTED: "note", OPEN: "open"}
_ORDER = (MISSED, OPEN, LEAST, REPORTED, GOAL)


@dataclass(frozen=True)
class Measured:
    """One measured value against what was asked.

    Attributes
    ----------
    output : the target, or empty where the goal is not about one.
    value : as measured; None where it was not.
    text, note : the value and what bears on it, for people.
    reached : one of `GOAL`, `LEAST`, `MISSED`, `REPORTED` and `OPEN`.
    least, goal : what was asked of this output, where a number.
    """

    output: str
    value: float | None
    text: str
    reached: str
    note: str = ""
    least: float | None = None
    goal: float | None = None

    @property
    def shown(self) -> str:
        """The text, with as many decimals as tell the value from what was asked."""
        return apart(self.text, self.value, self.least, self.goal)


@dataclass(frozen=True)
class Goal:
    """One line of the table: what was asked, in words, and what was measured; ``short`` names it in a sentence."""

    quantity: str
    short: str
    part: str
    published: str
    least: str
    goal: str
    measured: tuple[Measured, ...]

    @property
    def reached(self) -> str:
        """What all its values reached: that of the worst of them."""
        return min((entry.reached for entry in self.measured), key=_ORDER.index)


def judge(value: Any, least: float | None, goal: float | None, above: bool) -> str:
    """What a value reached; ``above``: larger is better. Where one of the two was not asked, the other counts alone."""
    if not is_number(value):
        return OPEN
    sign = 1.0 if above else -1.0
    if goal is not None and sign * (value - goal) >= 0:
        return GOAL
    if least is None:
        return REPORTED
    if sign * (value - least) < 0:
        return MISSED
    return GOAL if goal is None else LEAST


def goals_table(goals: Sequence[Goal], labels: Sequence[str]) -> dict[str, Any]:
    """The goals as a table of the page: one column of measured values per output."""
    columns = [
        "",
        "Published",
        "At least",
        "Goal",
        *({"title": label, "numeric": False} for label in labels),
        "Reached",
    ]
    rows: list[Any] = []
    part = ""
    for goal in goals:
        if goal.part != part:
            part = goal.part
            rows.append({"part": part})
        span = len(labels) // len(goal.measured)
        cells = [
            {"text": entry.shown, "note": entry.note, "mark": _MARKS[entry.reached], "span": span}
            for entry in goal.measured
        ]
        verdict = {"text": _verdict(goal), "mark": _MARKS[goal.reached]}
        rows.append([goal.quantity, goal.published, goal.least, goal.goal, *cells, verdict])
    return {"columns": columns, "rows": rows}


def _verdict(goal: Goal) -> str:
    total = len(goal.measured)
    if len({entry.reached for entry in goal.measured}) == 1:
        return goal.reached
    return f"goal {sum(entry.reached == GOAL for entry in goal.measured)} of {total}"


def _named(goal: Goal, reached: str, brief: Mapping[str, str]) -> str | None:
    """The goal and those of its values that reached just this, in words; None where none did."""
    found = [entry for entry in goal.measured if entry.reached == reached]
    if not found:
        return None
    if not found[0].output:
        return f"{goal.short} ({found[0].shown})"
    if len(found) == len(goal.measured) and len({entry.shown for entry in found}) == 1:
        return f"{goal.short} ({found[0].shown} on every output)"
    shown = (f"{brief.get(entry.output, entry.output)} {entry.shown}" for entry in found)
    return f"{goal.short} ({', '.join(shown)})"


def goals_in_short(goals: Sequence[Goal], brief: Mapping[str, str]) -> list[str]:
    """What was reached and, by name, what was not; ``brief`` holds short names of the outputs."""
    values = [entry for goal in goals for entry in goal.measured]
    reached = sum(entry.reached == GOAL for entry in values)
    lines = [f"Of {len(values)} values that were asked for before the study was run, {reached} reach the goal."]
    for kind, words in (
        (MISSED, "Not reached, although asked at least"),
        (LEAST, "Reached as asked at least, but not the goal"),
        (REPORTED, "Asked only to be reported, and short of the goal"),
        (OPEN, "Not measured, or not to be judged, in this run"),
    ):
        named = [text for goal in goals if (text := _named(goal, kind, brief))]
        if named:
            lines.append(f"{words}: {'; '.join(named)}.")
    return lines


def goals_for_programs(goals: Sequence[Goal]) -> list[dict[str, Any]]:
    """The goals as plain data: numbers as measured, fractions and seconds."""
    return [
        {
            "quantity": goal.quantity,
            "part": goal.part,
            "published": goal.published,
            "at_least": goal.least,
            "goal": goal.goal,
            "reached": goal.reached,
            "measured": [
                {
                    "output": entry.output or None,
                    "value": entry.value if is_number(entry.value) else None,
                    "at_least": entry.least,
                    "goal": entry.goal,
                    "reached": entry.reached,
                }
                for entry in goal.measured
            ],
        }
        for goal in goals
    ]
