"""Seconds, memory and disk of every rule: measured costs of the amounts of work that a configuration asks for.

A cost table, ``measured/<study>.json``, holds for each rule what it costs to start and what each amount of its `Work`
costs, the machine on which that was measured, and the measurements themselves. It is written by ``understudy plan
--calibrate results/<run> ...`` alone. The workflow takes its resources from here, and `understudy plan` its figures.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from understudy.planning.report_work import SHARED, report_works
from understudy.planning.work import Amounts, Work

TABLES = Path(__file__).with_name("measured")
# The part of a cost that no amount multiplies.
ONE = "one"
# A site's cores may be slower than those that were measured, and a job past its limit loses what it was doing.
_RUN_TIME_MARGIN, _LEAST_MINUTES = 3.0, 10
_MEMORY_MARGIN, _MORE_MB, _ROUND_MB = 1.25, 200, 100
_MINUTES_TO = 5
# What a rule asks for that was never measured.
_UNMEASURED_MB, _UNMEASURED_S = 3_000.0, 3_600.0


@dataclass(frozen=True)
class Estimate:
    """What one job costs.

    Attributes
    ----------
    study : name, or "report" for what all studies share.
    start_s : launch and imports, of every rank.
    serial_s : core seconds on one core; beside the farm where there is one.
    farmed_s : core seconds that ranks share.
    memory_MB : of one rank at its largest.
    disk_MB : results.
    measured : whether the rule was ever measured; else the figures are rough and large.
    """

    study: str
    work: Work
    start_s: float
    serial_s: float
    farmed_s: float
    memory_MB: float
    disk_MB: float
    measured: bool = True

    @property
    def name(self) -> str:
        """Name of the rule's benchmark file."""
        return self.work.rule if self.study == SHARED else f"{self.study}.{self.work.rule}"

    def ranks(self, asked: int) -> int:
        """MPI ranks out of those asked for; 1 without a farm."""
        return asked if self.work.farmed is not None else 1

    def core_s(self, ranks: int) -> float:
        """Core seconds on this many ranks."""
        return self.start_s * self.ranks(ranks) + self.serial_s + self.farmed_s

    def wall_s(self, ranks: int) -> float:
        """Seconds on this many ranks that start as fast as two.

        Blocks are claimed longest first, so that ranks finish within about half a longest block of each other; no rule
        takes less than its longest block.
        """
        count = self.ranks(ranks)
        longest = min(1.0, self.work.longest / self.work.blocks) * self.farmed_s
        shared = max(longest, self.farmed_s / count + 0.5 * longest * (1 - 1 / count))
        return self.start_s + self.serial_s + shared


def cost(coefficients: Mapping[str, float], amounts: Amounts) -> float:
    """Sum of coefficient times amount; an amount that was never calibrated costs nothing."""
    return coefficients.get(ONE, 0.0) + sum(coefficients.get(name, 0.0) * value for name, value in amounts.items())


@cache
def cost_table(study: str, folder: Path = TABLES) -> dict[str, Any]:
    """The cost table of a study, or of ``report``; one without rules for a study that was never measured."""
    path = folder / f"{study}.json"
    return json.loads(path.read_text()) if path.is_file() else {"study": study, "rules": {}, "measured": {}}


def estimated(study: str, work: Work, folder: Path = TABLES) -> Estimate:
    """What a job of these amounts costs."""
    own = cost_table(study, folder)["rules"].get(work.rule)
    if own is None:
        return Estimate(study, work, 0.0, _UNMEASURED_S, 0.0, _UNMEASURED_MB, 0.0, measured=False)
    return Estimate(
        study=study,
        work=work,
        start_s=own["start_s"],
        serial_s=cost(own["serial_s"], work.serial),
        farmed_s=0.0 if work.farmed is None else cost(own["farmed_s"], work.farmed),
        memory_MB=cost(own["memory_MB"], work.memory),
        disk_MB=cost(own["disk_MB"], work.disk),
    )


def estimates(configuration: Any, works: Mapping[str, list[Work]], folder: Path = TABLES) -> dict[str, Estimate]:
    """Costs of all jobs of a configuration by the name of their benchmark file.

    Parameters
    ----------
    configuration : the whole, validated one.
    works : of each enabled study, see `understudy.planning.studies.study_works`.
    folder : of the cost tables.
    """
    found = [estimated(study, work, folder) for study in configuration.studies for work in works[study]]
    results_MB = sum(each.disk_MB for each in found)
    jobs = {study: len(works[study]) for study in configuration.studies}
    found += [estimated(SHARED, work, folder) for work in report_works(results_MB, jobs)]
    return {each.name: each for each in found}


def disk_needed_MB(found: Mapping[str, Estimate]) -> tuple[float, float]:
    """Results of a run, and what lies on the disk before it is finished: shards of farmed rules are about as large as
    their results and stay until the whole workflow has ended well."""
    results = sum(each.disk_MB for each in found.values())
    return results, results + sum(each.disk_MB for each in found.values() if each.work.farmed is not None)


def memory_request_MB(estimate: Estimate, attempt: int = 1) -> int:
    """Memory to ask for, of one rank: the estimate with a margin, twice as much at the second attempt, and so on."""
    wanted = _MEMORY_MARGIN * estimate.memory_MB + _MORE_MB
    return attempt * _ROUND_MB * math.ceil(wanted / _ROUND_MB)


def run_time_minutes(estimate: Estimate, ranks: int, attempt: int = 1) -> int:
    """Time limit to ask for: three times the estimate and ten minutes, doubled at the second attempt, and so on."""
    minutes = _RUN_TIME_MARGIN * estimate.wall_s(ranks) / 60 + _LEAST_MINUTES
    return attempt * _MINUTES_TO * math.ceil(minutes / _MINUTES_TO)
