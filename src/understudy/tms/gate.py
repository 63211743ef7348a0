"""Is a generated cell as excitable as a cortical neuron? Thresholds over directions of a uniform field decide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from understudy.errors import InputError
from understudy.tms.morphology import Morphology
from understudy.tms.synthesis import CELL_TYPES, synthesise

# A polar step of 15 and an azimuthal one of 10 degrees: 11 x 36 directions and the two poles, as in the published
# thresholds.
_POLAR_STEP_DEG, _AZIMUTH_STEP_DEG = 15, 10
N_DIRECTIONS = 398

# Accepted ranges (decision of the study), around the published cells' minima of 175-261, medians of 226-365 V/m and
# ratios of largest to smallest of 1.7-3.3 (found); monophasic pulse.
MINIMUM_V_PER_M = (140.0, 350.0)
MEDIAN_V_PER_M = (200.0, 420.0)
LARGEST_TO_SMALLEST = (1.5, 4.0)

# Random streams of the study's cells: study 1, stage 0.
_SPAWN_KEY = (1, 0)


def uniform_directions() -> np.ndarray:
    """Unit vectors (398, 3): +z, then rings of constant polar angle from 15 to 165 degrees in steps of 15, then -z."""
    polar = np.radians(np.arange(_POLAR_STEP_DEG, 180, _POLAR_STEP_DEG))
    azimuth = np.radians(np.arange(0, 360, _AZIMUTH_STEP_DEG))
    theta, phi = (angle.ravel() for angle in np.meshgrid(polar, azimuth, indexing="ij"))
    rings = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    return np.concatenate([[[0.0, 0.0, 1.0]], rings, [[0.0, 0.0, -1.0]]])


def passes_gate(thresholds: np.ndarray) -> tuple[bool, str]:
    """Whether thresholds over `uniform_directions` are those of a cortical neuron.

    Parameters
    ----------
    thresholds : (398,) V/m, monophasic pulse; NaN where none was found.

    Returns
    -------
    Whether the cell passes, and why not ("" if it does).
    """
    thresholds = np.asarray(thresholds, dtype=float)
    if thresholds.shape != (N_DIRECTIONS,):
        raise InputError(f"thresholds: found shape {thresholds.shape}; accepted is ({N_DIRECTIONS},)")
    missing = int((~np.isfinite(thresholds)).sum())
    if missing:
        return False, f"no threshold in {missing} of {N_DIRECTIONS} directions"
    values = {
        "minimum (V/m)": (thresholds.min(), MINIMUM_V_PER_M),
        "median (V/m)": (np.median(thresholds), MEDIAN_V_PER_M),
        "largest to smallest": (thresholds.max() / thresholds.min(), LARGEST_TO_SMALLEST),
    }
    reasons = [
        f"{name} {value:.3g} (accepted {low:g} to {high:g})"
        for name, (value, (low, high)) in values.items()
        if not low <= value <= high
    ]
    return not reasons, "; ".join(reasons)


def accepted_cell(
    cell_type: str,
    number: int,
    seed: int,
    thresholds_of: Callable[[Morphology, np.ndarray], np.ndarray],
    most_attempts: int = 100,
) -> tuple[Morphology, list[str]]:
    """The first synthetic cell of a number that passes the gate, "L23_PC_1" and so on.

    Attempt k of a cell draws from ``SeedSequence(seed, spawn_key=(1, 0, type, number, k))``.

    Parameters
    ----------
    cell_type : one of `synthesis.CELL_TYPES`; ``number`` of the clone, from 1; ``seed`` the root seed.
    thresholds_of : gives thresholds (398,) V/m of a morphology for field directions (398, 3); NaN where there is none.
    most_attempts : so many rejected cells end the search.

    Returns
    -------
    The cell, and for each rejected one before it the reason.

    Raises
    ------
    InputError
        If the cell type is unknown or ``most_attempts`` cells in a row are rejected.
    """
    if cell_type not in CELL_TYPES:
        raise InputError(f"cell type: found {cell_type!r}; accepted are {', '.join(CELL_TYPES)}")
    directions = uniform_directions()
    rejections: list[str] = []
    for attempt in range(most_attempts):
        cell = attempted_cell(cell_type, number, seed, attempt)
        accepted, reason = passes_gate(thresholds_of(cell, directions))
        if accepted:
            return cell, rejections
        rejections.append(reason)
    raise InputError(
        f"{cell_type} {number}: found no cell within the gate in {most_attempts} attempts (last: {rejections[-1]}); "
        "accepted are a cell model and a pulse with cortical thresholds"
    )


def attempted_cell(cell_type: str, number: int, seed: int, attempt: int) -> Morphology:
    """The cell of one attempt, whether the gate accepts it or not."""
    spawn_key = (*_SPAWN_KEY, CELL_TYPES.index(cell_type), number, attempt)
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=spawn_key))
    return synthesise(cell_type, generator, f"{cell_type}_{number}")
