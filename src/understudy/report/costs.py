"""What a study cost: processor time of its rules in core hours, grouped as the study asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from understudy.report.timings import Timing

_HOUR_S = 3600.0
REST = "Everything else"


@dataclass(frozen=True)
class Cost:
    """One group of rules.

    Attributes
    ----------
    rules : those that were timed.
    wall_s : elapsed time, summed.
    core_hours : processor time; elapsed time where none was sampled, in jobs of a few seconds.
    """

    title: str
    rules: tuple[str, ...]
    wall_s: float
    core_hours: float


def _cost(title: str, timings: Sequence[Timing], study: str) -> Cost:
    return Cost(
        title=title,
        rules=tuple(entry.rule.removeprefix(f"{study} · ") for entry in timings),
        wall_s=sum(entry.wall_s for entry in timings),
        core_hours=sum(entry.wall_s if entry.cpu_s is None else entry.cpu_s for entry in timings) / _HOUR_S,
    )


def study_costs(timings: Sequence[Timing], study: str, groups: Sequence[Mapping[str, Any]]) -> list[Cost]:
    """Costs of one study.

    Parameters
    ----------
    timings : of the whole run.
    study : its name, which stands in front of its rules.
    groups : ``title`` and ``rules`` of each group; rules of the study in no group are the rest.

    Returns
    -------
    The groups that were timed, the rest, and last the sum of all; nothing where nothing was timed.
    """
    own = [entry for entry in timings if entry.rule.startswith(f"{study} · ")]
    if not own:
        return []
    costs, grouped = [], set()
    for group in groups:
        names = {f"{study} · {rule}" for rule in group["rules"]}
        grouped |= names
        costs.append(_cost(str(group["title"]), [entry for entry in own if entry.rule in names], study))
    costs.append(_cost(REST, [entry for entry in own if entry.rule not in grouped], study))
    return [*(cost for cost in costs if cost.rules), _cost("All", own, study)]
