"""Which courses of calcium a study draws: units of one split and one kind, each with a random stream of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from understudy.calcium.parameters import Parameters
from understudy.calcium.receptor_protocols import COURSE_KINDS, Courses, joined, number_of_groups
from understudy.calcium.surrogate import TARGETS, rate_cases
from understudy.surrogate.metrics import nrmse, r2

SPLITS = ("training", "calibration", "heldout")

# Seconds of one core for a group of each kind, roughly: the long ones are started first.
_COSTS = {"clamps": 0.003, "ramps": 0.003, "waves": 0.1, "raised waves": 0.1, "long waves": 0.6, "paired pulses": 2.5}


@dataclass(frozen=True)
class CourseUnit:
    """Groups of one kind that are drawn together, in one split: they never share a stream with another unit."""

    split: str
    kind: str
    groups: int

    @property
    def courses(self) -> int:
        """Courses of the unit."""
        return self.groups * COURSE_KINDS[self.kind].per_group

    @property
    def cost(self) -> float:
        """Expected effort: waves of fewer than eight cables take as long as of eight."""
        in_lanes = self.kind not in ("clamps", "ramps")
        return _COSTS[self.kind] * (8 if in_lanes else self.groups)

    def draw(self, stream: np.random.SeedSequence) -> Courses:
        """The unit's courses by a stream of its own."""
        return COURSE_KINDS[self.kind].draw(Parameters(), self.groups, np.random.default_rng(stream))


def course_units(scales: Mapping[str, float]) -> list[CourseUnit]:
    """Units of all splits (split -> scale)."""
    units = []
    for split in SPLITS:
        for name, kind in COURSE_KINDS.items():
            left = number_of_groups(name, scales[split])
            while left > 0:
                units.append(CourseUnit(split, name, min(left, kind.unit)))
                left -= kind.unit
    return units


def courses_by_split(units: list[CourseUnit], drawn: list[Courses]) -> dict[str, Courses]:
    """Courses of each split; group numbers run on over all splits."""
    found, first = {}, 0
    for split in SPLITS:
        own = joined([courses for unit, courses in zip(units, drawn, strict=True) if unit.split == split])
        found[split] = replace(own, group=own.group + first)
        first += int(own.group.max()) + 1
    return found


def rate_noise(courses: Courses, per_course: int, noise: float, rng: np.random.Generator) -> dict[str, dict]:
    """R2 and NRMSE by target of the rates of courses whose calcium is off by a factor of its own each, against theirs.

    No surrogate can be asked to know rates better than calcium is known.
    """
    off = np.exp(noise * rng.standard_normal((len(courses), 1)))
    moments = rng.random((len(courses), per_course))
    truth, found = (
        rate_cases(each, Parameters(), moments)["targets"]
        for each in (courses, replace(courses, u_uM=courses.u_uM * off))
    )
    return {
        name: {"r2": r2(truth[:, k], found[:, k]), "nrmse": nrmse(truth[:, k], found[:, k])}
        for k, name in enumerate(TARGETS)
    }
