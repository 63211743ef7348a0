"""Networks beside the analytic closures that store as much: which is nearer to the receptors' equations, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from understudy.calcium.goals import CHANNELS, fine, hybrid, times, worst_step_error
from understudy.report.numbers import beside, is_number
from understudy.report.wording import inside, listed

Results = Mapping[str, Any]

CLOSURES = {"net4": "one_state", "net5": "two_state", "net6": "two_state"}
"""The closure that a network is held against: with as many unknowns, or with one fewer for 6."""

COLUMNS = ("one_state", "net4", "two_state", "net5", "net6")


@dataclass(frozen=True)
class Measure:
    """A measure of a channel, the smaller the better.

    Attributes
    ----------
    words : for a table; ``short`` in a sentence.
    of : (results, channel) to the value, None where it was not measured.
    """

    words: str
    short: str
    of: Callable[[Results, str], Any]
    show: Callable[[Any], str] = fine


def _inside(*keys: str) -> Callable[[Results, str], Any]:
    def value(results: Results, channel: str) -> Any:
        found = hybrid(results, channel, *keys)
        return abs(found) if is_number(found) else None

    return value


def _length(value: Any) -> str:
    return f"{1e3 * value:.2g} nm" if is_number(value) else "—"


MEASURES = (
    Measure("Front: speed", "speed of the front", _inside("front", "speed")),
    Measure("Front: peak", "its peak", _inside("front", "peak")),
    Measure("Front: calcium, NRMSE", "calcium traces", _inside("front", "nrmse_u")),
    Measure("Front: open probability, NRMSE", "open probability", _inside("front", "nrmse_open")),
    Measure("Speed at each step, worst", "speed at the worst step", worst_step_error),
    Measure("Held-out sets: speed, median", "median speed of held-out sets", _inside("heldout", "speed_median")),
    Measure("Held-out sets: speed, maximum", "their largest error of speed", _inside("heldout", "speed_max")),
    Measure("Preconditioned sets: speed, median", "preconditioned sets",
            _inside("heldout", "conditioned_speed_median")),
    Measure("Shift of the threshold ER radius", "threshold radius", _inside("threshold", "shift_um"), _length),
    Measure("Recovery curve, NRMSE", "recovery", _inside("recovery", "nrmse")),
    Measure("Time of a step over the equations'", "time of a step",
            lambda results, channel: inside(results.get("hybrid"), "cost", channel, "median"), times),
)  # fmt: skip


def winners(results: Results, network: str) -> tuple[list[str], list[str], int]:
    """Measures in which the network wins and in which its closure does, in short words, and how many were compared."""
    ahead, behind, compared = [], [], 0
    for measure in MEASURES:
        own, other = (measure.of(results, name) for name in (network, CLOSURES[network]))
        if is_number(own) and is_number(other):
            compared += 1
            if own < other:
                ahead.append(measure.short)
            elif own > other:
                behind.append(measure.short)
    return ahead, behind, compared


def in_words(results: Results) -> list[str]:
    """Which of closure and network wins where, one sentence for each network; nothing where nothing was compared."""
    lines = []
    for network, closure in CLOSURES.items():
        ahead, behind, compared = winners(results, network)
        if not compared:
            continue
        title = CHANNELS[closure].partition(",")[0]
        title = f"{title[:1].upper()}{title[1:]}"
        words = f"{title} against network with {network[3:]} unknowns: "
        if not behind:
            words += f"the network is nearer on {len(ahead)} of {compared} measures, the closure on none."
        elif not ahead:
            words += f"the analytic closure wins on {len(behind)} of {compared} measures, the network on none."
        else:
            words += (
                f"the analytic closure wins on {listed(behind)} ({len(behind)} of {compared} measures), the network on "
                f"{listed(ahead)}."
            )
        lines.append(words)
    return lines


def closures_win(results: Results) -> bool:
    """Whether a closure wins anything."""
    return any(winners(results, network)[1] for network in CLOSURES)


def table(results: Results) -> dict[str, Any] | None:
    """All measures of closures and networks; a network's cell is marked by its closure. None without any."""
    rows: list[Any] = []
    for measure in MEASURES:
        values = {name: measure.of(results, name) for name in COLUMNS}
        if not any(is_number(value) for value in values.values()):
            continue
        cells: list[Any] = [measure.words]
        for name, value in values.items():
            closed = [values.get(network) for network, closure in CLOSURES.items() if closure == name]
            other = values.get(CLOSURES.get(name, ""))
            cell: dict[str, Any] = {"text": beside(measure.show(value), value, other, *closed)}
            if is_number(value) and is_number(other):
                cell["mark"] = "better" if value < other else "worse" if value > other else "equal"
            cells.append(cell)
        rows.append(cells)
    if not rows:
        return None
    return {
        "columns": ["Error against the equations", *({"title": CHANNELS[n], "numeric": True} for n in COLUMNS)],
        "rows": rows,
        "caption": "✓ the network is nearer to the equations than the closure that it is held against (one-state for 4 "
        "unknowns, two-state for 5 and 6), ✗ the closure is.",
    }
