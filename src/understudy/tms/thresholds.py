"""What a threshold search gives, whichever engine ran it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TARGET = "threshold_V_per_m"
"""Name of the threshold among the targets of the study."""

CROSSINGS = 3
"""A cell is excited when at least this many upward crossings of 0 mV happen in compartments with area (found: the
published threshold search)."""

DEFAULT_GUESS = 100.0
"""V/m, the amplitude that a search without a guess tries first (found)."""


@dataclass(frozen=True)
class Thresholds:
    """Thresholds of N cases.

    Attributes
    ----------
    threshold : (N,) the smallest amplitude found to excite, in V/m where potentials are mV per V/m; NaN if not found.
    site : (N,) int32, compartment of the first crossing at that amplitude, -1 if not found.
    time_ms : (N,) end of the step in which it happened.
    runs : (N,) int32, simulations that the search took.
    found : (N,) bool.
    """

    threshold: np.ndarray
    site: np.ndarray
    time_ms: np.ndarray
    runs: np.ndarray
    found: np.ndarray
