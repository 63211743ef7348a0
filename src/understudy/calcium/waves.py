"""Measures of a calcium wave: whether it came, how fast, how long it lasted."""

from __future__ import annotations

import numpy as np

SPEED_RANGE = (0.4, 0.85)
"""Part of the cable over which the speed is measured: behind the stimulus, before the far end."""


def wave_speed(position_um: np.ndarray, arrival_s: np.ndarray, length_um: float) -> np.ndarray:
    """Speed (K,) in um/s from arrivals (K, N): inverse slope of a straight line through them; 0 where no wave passed.

    Nodes between the fractions `SPEED_RANGE` of the cable count.
    """
    arrival_s = np.atleast_2d(arrival_s)
    low, high = (part * length_um for part in SPEED_RANGE)
    inside = (position_um > low) & (position_um < high)
    x = position_um[inside]
    speeds = np.zeros(len(arrival_s))
    for k, t in enumerate(arrival_s[:, inside]):
        if np.isfinite(t).all():
            speeds[k] = 1 / np.polyfit(x, t, 1)[0]
    return speeds


def richardson(coarse: np.ndarray, fine: np.ndarray, order: int = 2) -> np.ndarray:
    """Value at step 0 from those at a step and at its half."""
    return fine + (fine - coarse) / (2**order - 1)


def width_at_half_height_s(time_s: np.ndarray, trace: np.ndarray) -> float:
    """Full width at half height of a single peak above the first value, linear between samples; NaN if cut off."""
    level = trace[0] + 0.5 * (trace.max() - trace[0])
    above = trace > level
    top = int(np.argmax(trace))
    before = np.flatnonzero(~above[:top])
    after = np.flatnonzero(~above[top:])
    if not len(before) or not len(after):
        return float("nan")

    def crossing(k: int) -> float:
        part = (level - trace[k]) / (trace[k + 1] - trace[k])
        return time_s[k] + part * (time_s[k + 1] - time_s[k])

    return float(crossing(top + after[0] - 1) - crossing(before[-1]))


def nrmse(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square difference over the range of what is expected."""
    return float(np.sqrt(((found - expected) ** 2).mean()) / np.ptp(expected))
