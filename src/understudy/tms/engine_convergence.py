"""Verification of the engine by itself: linear range, order and bias of the time step, length of the segments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from understudy.tms.cell_model import build_compartments
from understudy.tms.cell_verification import FINE, CellUnderTest, relative_difference
from understudy.tms.linear_response import linear_response
from understudy.tms.pulses import Pulse
from understudy.tms.threshold_engine import find_thresholds, simulate
from understudy.tms.thresholds import Thresholds
from understudy.tms.time_step import time_step_correction
from understudy.verification import check

_STEPS_US = (10.0, 5.0, 2.5, 1.25)
_SEGMENTS_UM = (40.0, 20.0, 10.0)
_SMALL_V_PER_M = 1e-3


def linear_range(tested: CellUnderTest, waveform: np.ndarray, dt_ms: float) -> dict:
    """The linear response of the axon terminals against the engine at small amplitude, less a run without field."""
    samples = np.arange(10, len(waveform) + 1, 10)
    terminals = tested.compartments.terminal
    response = linear_response(tested.compartments, waveform, dt_ms, samples, rest_mV=tested.rest_mV)
    potential = tested.potentials()[[0, -1]]
    # The table of rates moves the resting state by some 1e-7 mV, which a small amplitude must not magnify.
    still, moved = (
        simulate(
            tested.compartments,
            potential,
            waveform,
            np.full(2, amplitude),
            dt_ms,
            recorded=terminals,
            rest_mV=tested.rest_mV,
        )[:, samples - 1]
        for amplitude in (0.0, _SMALL_V_PER_M)
    )
    found = (moved - still) / _SMALL_V_PER_M
    expected = np.einsum("tkm,nm->ntk", response, potential)
    return check(
        f"{tested.cell.cell_type}: linear response against the engine at {_SMALL_V_PER_M:g} V/m, largest difference "
        f"over the largest response of its {len(terminals)} terminals",
        np.abs(found - expected).max() / np.abs(expected).max(),
        0.0,
        1e-3,
        source="the engine at vanishing amplitude",
    )


def step_convergence(
    tested: CellUnderTest,
    pulse: Pulse,
    window_ms: float,
    delay_ms: float,
    dt_us: float,
    used: Callable[[np.ndarray], Thresholds],
) -> list[dict]:
    """Thresholds at ever smaller time steps: the order, and the bias that is left in the study's thresholds.

    Parameters
    ----------
    dt_us : time step of the study.
    used : thresholds as the study finds them for quasi-potentials (N, M).
    """
    name, potential = tested.cell.cell_type, tested.potentials()
    guess, thresholds = None, []
    for step_us in _STEPS_US:
        waveform = pulse.steps(1e-3 * step_us, window_ms, delay_ms)
        guess = find_thresholds(
            tested.compartments,
            potential,
            waveform,
            1e-3 * step_us,
            tolerance=FINE,
            guess=guess,
            rest_mV=tested.rest_mV,
        ).threshold
        thresholds.append(guess)
    coarse, middle, fine = (float(np.mean(thresholds[k])) for k in (1, 2, 3))
    # What is left of a first-order error after one extrapolation is of second order.
    limit = 2 * thresholds[3] - thresholds[2]
    second = find_thresholds(
        tested.compartments,
        potential,
        pulse.steps(1e-3 * dt_us, window_ms, delay_ms),
        1e-3 * dt_us,
        tolerance=FINE,
        order=2,
        guess=thresholds[1],
        rest_mV=tested.rest_mV,
    ).threshold
    # The factor comes from every other case and is judged on those between.
    corrected = time_step_correction(
        tested.compartments,
        potential[::2],
        lambda step_ms: pulse.steps(step_ms, window_ms, delay_ms),
        1e-3 * dt_us,
        rest_mV=tested.rest_mV,
    )
    plain = find_thresholds(
        tested.compartments,
        potential[1::2],
        pulse.steps(1e-3 * dt_us, window_ms, delay_ms),
        1e-3 * dt_us,
        tolerance=FINE,
        guess=thresholds[1][1::2],
        rest_mV=tested.rest_mV,
    ).threshold
    half = len(limit) // 2
    steps = ", ".join(f"{step:g}" for step in _STEPS_US[1:])
    return [
        check(
            f"{name}: order of convergence in the time step ({steps} us)",
            float(np.log2(abs((coarse - middle) / (middle - fine)))),
            1.0,
            0.25,
            source=f"implicit Euler; mean of {half} uniform and {half} other fields",
        ),
        check(
            f"{name}: bias by the time step left in this study's thresholds ({dt_us:g} us), largest of the same fields",
            relative_difference(used(potential).threshold, limit),
            0.0,
            3e-3,
            source="extrapolation from 2.5 and 1.25 us; plain implicit Euler at 5 us is "
            f"{100 * relative_difference(thresholds[1], limit):.1f} % off",
        ),
        check(
            f"{name}: bias left by second-order steps (BDF2) of {dt_us:g} us, largest of the same fields",
            relative_difference(second, limit),
            0.0,
            3e-3,
            source="extrapolation from 2.5 and 1.25 us",
        ),
        check(
            f"{name}: bias left by one factor per cell and pulse, {dt_us:g} us, largest of {len(plain)} other fields",
            relative_difference(corrected.factor * plain, limit[1::2]),
            0.0,
            3e-3,
            source=f"extrapolation from 2.5 and 1.25 us; factor {corrected.factor:.4f}",
        ),
    ]


def segment_convergence(tested: CellUnderTest, waveform: np.ndarray, dt_ms: float) -> list[dict]:
    """Thresholds with segments of 40, 20 and 10 um."""
    name, guess, thresholds = tested.cell.cell_type, None, []
    for segment_um in _SEGMENTS_UM:
        model = build_compartments(tested.cell.morphology, tested.cell.cell_type, segment_um=segment_um)
        guess = find_thresholds(
            model.compartments, tested.potentials(model), waveform, dt_ms, tolerance=1e-4, guess=guess
        ).threshold
        thresholds.append(guess)
    return [
        check(
            f"{name}: segments of {segment:g} um against {_SEGMENTS_UM[-1]:g} um, median change of thresholds",
            float(np.median(np.abs(found / thresholds[-1] - 1))),
            0.0,
            tolerance,
            source=f"refinement; {len(guess)} fields, largest change "
            f"{100 * relative_difference(found, thresholds[-1]):.2g} %",
        )
        for segment, found, tolerance in zip(_SEGMENTS_UM[:-1], thresholds[:-1], (0.02, 0.01), strict=True)
    ]
