"""``report.json``: the numbers of the page for programs. Fractions, not per cent."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from understudy.report.costs import Cost
from understudy.report.results import StudyResults
from understudy.surrogate.metrics import DEFINITIONS


def finite(value: Any) -> Any:
    """The same structure with null where a number is not finite, because JSON knows neither NaN nor infinity."""
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def study_entry(results: StudyResults, costs: Sequence[Cost]) -> dict[str, Any]:
    """One study's entry: its metrics with learning curve, deployment, verification, published values, goals, cost."""
    return {
        # The audit holds them against the file.
        **results.evaluated,
        "constant": [target for target in results.targets if results.constant(target)],
        "learning_curve": list(results.curve),
        "deployment": dict(results.deployment),
        "direct_cost": results.presentation.get("direct_cost"),
        "verification": list(results.verification),
        "published": results.presentation.get("published", {}),
        "published_point": results.presentation.get("published_point"),
        "notes": list(results.presentation.get("notes", [])),
        "limits": list(results.presentation.get("limits", [])),
        "goals": list(results.presentation.get("goals", [])),
        "in_short": list(results.presentation.get("in_short", [])),
        "cost": [asdict(cost) for cost in costs],
    }


def summarise(
    run: str, studies: Sequence[StudyResults], costs: Mapping[str, Sequence[Cost]], audit: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole of ``report.json``; ``costs`` by study."""
    return finite(
        {
            "run": run,
            "definitions": DEFINITIONS,
            "studies": {results.name: study_entry(results, costs[results.name]) for results in studies},
            "audit": {**audit, "passed": bool(audit["passed"]), "findings": list(audit["findings"])},
        }
    )
