"""Cases of the calcium study computed again: moments of a course, with all courses that were drawn with it."""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from understudy.calcium.course_plan import SPLITS
from understudy.calcium.farmed_courses import draw_unit, planned_units, split_moments
from understudy.calcium.parameters import Parameters
from understudy.calcium.surrogate import TARGETS, rate_cases
from understudy.farm.replay import Paths, Replay, ReplayedCase


class _Moments:
    """Moments of the courses of all units, split by split; the courses of a unit share a random stream."""

    def __init__(self, stage: Mapping[str, Any]) -> None:
        self._seed, self._per_course = stage["seed"], stage["courses"]["per_course"]
        self._units = planned_units(stage["courses"])
        self._moments = np.concatenate(
            [split_moments(self._units, split, self._per_course, self._seed) for split in SPLITS]
        )
        self._ends = np.cumsum([unit.courses for unit in self._units])

    def __len__(self) -> int:
        return self._moments.size

    def _place(self, case: int) -> tuple[int, int, int]:
        """Number of the unit, of its first course and of the case's course."""
        course = case // self._per_course
        number = int(np.searchsorted(self._ends, course, side="right"))
        return number, int(self._ends[number]) - self._units[number].courses, course

    def unit(self, case: int) -> tuple[int, ...]:
        number, first, _ = self._place(case)
        return tuple(range(first * self._per_course, int(self._ends[number]) * self._per_course))

    def describe(self, case: int) -> dict[str, Any]:
        number, first, course = self._place(case)
        unit = self._units[number]
        drawn = draw_unit(self._units, number, self._seed)
        return {
            "split": unit.split,
            "kind": unit.kind,
            "unit": number,
            "course of its unit": course - first,
            "moment, of the course": float(self._moments[course, case % self._per_course]),
            "steps, s": drawn.dt_s[course - first],
            "calcium, uM": drawn.u_uM[course - first],
            "occupancies at the start": drawn.start[course - first],
        }

    def compute(self, cases: Sequence[int]) -> dict[int, ReplayedCase]:
        number, first, _ = self._place(cases[0])
        last = int(self._ends[number])
        try:
            found = rate_cases(draw_unit(self._units, number, self._seed), Parameters(), self._moments[first:last])
        except Exception as error:
            nothing = np.full(len(TARGETS), np.nan)
            reason = f"{type(error).__name__}: {error}"
            return {case: ReplayedCase(None, nothing, reason, traceback.format_exc()) for case in cases}
        rows = {case: case - first * self._per_course for case in cases}
        return {
            case: ReplayedCase(found["inputs"][row].astype(np.float32), found["targets"][row])
            for case, row in rows.items()
        }


def _paths(folder: Path, stage: Mapping[str, Any], data: Path) -> Paths:
    return {}


@contextmanager
def _opened(stage: Mapping[str, Any], paths: Paths) -> Iterator[_Moments]:
    yield _Moments(stage)


REPLAY = Replay("simulate_courses", "ground_truth.h5", _paths, _opened)
