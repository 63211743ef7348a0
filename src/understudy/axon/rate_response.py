"""Outputs of the axon against strain rate at a fixed peak strain, for both criteria of tau failure."""

from __future__ import annotations

import numpy as np

from understudy.axon.axon_geometry import layout_set
from understudy.axon.axon_mechanics import simulate_axons
from understudy.axon.config import Injury

RATES_PER_S = (1, 2, 5, 10, 20, 40, 60)
CRITERIA = ("elongation", "bell")
STEPS = 80
LAYOUTS = 8


def rate_response(injury: Injury, peak: float) -> dict[str, np.ndarray]:
    """Mean outputs over a few layouts of half-sines with the same peak.

    Parameters
    ----------
    peak : peak axonal strain; the rate is the mean of the rise.

    Returns
    -------
    criterion -> (rates, 4) outputs at `RATES_PER_S`.
    """
    strain = peak * np.sin(np.pi * np.arange(STEPS + 1) / STEPS)[None]
    responses = {}
    for criterion in CRITERIA:
        outputs = []
        for rate in RATES_PER_S:
            step_ms = 2 * (1000 * peak / rate) / STEPS
            law = injury.model_copy(update={"tau_criterion": criterion, "dt_ms": step_ms, "layouts": LAYOUTS})
            outputs.append(simulate_axons(strain, layout_set(law, 0), law, step_ms)[0].mean(axis=0))
        responses[criterion] = np.array(outputs)
    return responses
