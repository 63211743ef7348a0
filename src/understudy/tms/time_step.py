"""How far the time step shifts thresholds, and what is left of that after a correction.

Measured on a reconstructed layer-5 cell, uniform fields, monophasic pulse: implicit Euler at 5 us is 1.4 % high in the
mean and 0.5-4.9 % case by case, so that one factor leaves up to 3 %; BDF2 is 0.3 % low at 5 us (a factor leaves 0.3 %)
and less than 0.2 % at 2.5 us (0.1 %). Extrapolation of each case by itself leaves 0.25 % with Euler, 0.04 % with BDF2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from understudy.errors import InputError
from understudy.tms.compartments import Compartments
from understudy.tms.threshold_engine import find_thresholds, resting_state

_TOLERANCE = 1e-5
"""Bisection ends far below the differences that are measured."""


@dataclass(frozen=True)
class TimeStepCorrection:
    """Thresholds at a time step times ``factor`` have no bias from the step, up to ``residual``.

    Attributes
    ----------
    factor : mean of ``ratio``.
    residual : largest relative difference between a case's own correction and the mean one.
    ratio : (n,) extrapolated threshold over the one at the step, of each case of the subset.
    """

    factor: float
    residual: float
    ratio: np.ndarray


def extrapolated_thresholds(
    compartments: Compartments,
    potential_mV: np.ndarray,
    waveform_of: Callable[[float], np.ndarray],
    dt_ms: float,
    *,
    order: int = 1,
    **options,
) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (N,) at ``dt_ms`` and their limit (N,) of vanishing step, from ``dt_ms`` and its half (Richardson).

    Parameters
    ----------
    waveform_of : gives the (S,) means of the pulse over steps of any length, as `understudy.tms.pulses.Pulse.steps`.
    order : order of the method, which is that of the error; ``options`` go to `find_thresholds`.
    """
    options = {"tolerance": _TOLERANCE, "rest_mV": resting_state(compartments), **options}
    coarse = find_thresholds(compartments, potential_mV, waveform_of(dt_ms), dt_ms, order=order, **options)
    options["guess"] = np.where(coarse.found, coarse.threshold, 100.0)
    fine = find_thresholds(compartments, potential_mV, waveform_of(0.5 * dt_ms), 0.5 * dt_ms, order=order, **options)
    limit = fine.threshold + (fine.threshold - coarse.threshold) / (2**order - 1)
    return coarse.threshold, limit


def time_step_correction(
    compartments: Compartments,
    potential_mV: np.ndarray,
    waveform_of: Callable[[float], np.ndarray],
    dt_ms: float,
    *,
    order: int = 1,
    **options,
) -> TimeStepCorrection:
    """One factor per cell and pulse that takes the bias of the time step out of its thresholds.

    ``potential_mV`` (n, M) is a subset of the cases (a few dozen of all directions); arguments otherwise as in
    `extrapolated_thresholds`. The bias differs between cases, since every branch has its own time constants:
    ``residual`` says what one factor leaves.

    Raises
    ------
    InputError
        If no case of the subset has a threshold.
    """
    coarse, limit = extrapolated_thresholds(compartments, potential_mV, waveform_of, dt_ms, order=order, **options)
    ratio = limit / coarse
    known = np.isfinite(ratio)
    if not known.any():
        raise InputError(f"potential_mV: found no threshold in {len(ratio)} cases; accepted is at least one")
    factor = float(ratio[known].mean())
    return TimeStepCorrection(factor, float(np.abs(ratio[known] / factor - 1).max()), ratio)
