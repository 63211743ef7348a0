"""Random streams of the study's courses: which unit and which moment is drawn from what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from understudy.calcium.course_plan import SPLITS, CourseUnit, course_units
from understudy.calcium.farmed_cases import STUDY_NUMBER
from understudy.calcium.receptor_protocols import Courses
from understudy.farm.seeds import case_sequence

# Numbers in spawn keys: courses, moments of them, noise.
_STAGE, _MOMENTS, _NOISE = 1, 2, 3


def planned_units(settings: Mapping[str, Any]) -> list[CourseUnit]:
    """Units of the configuration's section ``courses``."""
    return course_units({split: settings[f"{split}_scale"] for split in SPLITS})


def draw_unit(units: Sequence[CourseUnit], number: int, seed: int) -> Courses:
    """The courses of one unit of a run with this root seed."""
    return units[number].draw(case_sequence(seed, STUDY_NUMBER, _STAGE, number))


def split_moments(units: Sequence[CourseUnit], split: str, per_course: int, seed: int) -> np.ndarray:
    """Moments (K, ``per_course``) of the split's K courses that become cases of the shared machine."""
    count = sum(unit.courses for unit in units if unit.split == split)
    stream = case_sequence(seed, STUDY_NUMBER, _MOMENTS, SPLITS.index(split))
    return np.random.default_rng(stream).random((count, per_course))


def noise_stream(seed: int) -> np.random.Generator:
    """The stream of the noise floor's errors of calcium."""
    return np.random.default_rng(case_sequence(seed, STUDY_NUMBER, _NOISE, 0))
