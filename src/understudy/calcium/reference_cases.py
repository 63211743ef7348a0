"""The two reference cases: a front that runs once, and a dendrite that returns to rest and can be excited again."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from understudy.calcium.cable_dynamics import CableRun, CableSimulation, Channel, simulate_cables
from understudy.calcium.cable_geometry import Cable, uniform_cable
from understudy.calcium.parameters import Parameters
from understudy.calcium.stimulus import Stimulus
from understudy.calcium.waves import wave_speed

FRONT_LENGTH_UM, FRONT_RADIUS_UM, FRONT_ER_RADIUS_UM = 64.0, 0.5, 0.25

FRONT_SPEEDS = {0.5: 583.30, 0.25: 811.71, 0.125: 898.42}
"""Speed in um/s of the reference front at a spacing in um, as LSODA's method of lines found it (NEURON rxd: 583.34,
811.70, 898.43); at 1 um the front is pinned."""

FRONT_STEP_SPEEDS = {1e-4: 771.0, 5e-5: 800.3, 2.5e-5: 808.7, 1.25e-5: 810.9}
"""Speed in um/s at 0.25 um and a time step in s, as a separate prototype of the same scheme found it."""


def front_parameters() -> Parameters:
    """Parameters of the reference front: the defaults. Its cell does not return to rest; use it up to 0.3 s."""
    return Parameters()


def front_cable(spacing_um: float) -> Cable:
    """Cable of the reference front."""
    return uniform_cable(FRONT_LENGTH_UM, FRONT_RADIUS_UM, FRONT_ER_RADIUS_UM, round(FRONT_LENGTH_UM / spacing_um))


def front_run(spacing_um: float, dt_s: float, duration_s: float | None = None, **options) -> CableRun:
    """The reference front from rest; ``options`` as of `simulate_cables`. The grid is coarse on purpose: no warning."""
    duration_s = duration_s if duration_s is not None else 0.125 if spacing_um >= 0.5 else 0.1
    return simulate_cables(
        [front_cable(spacing_um)], front_parameters(), Stimulus(), duration_s, dt_s, check_grid=False, **options
    )


def front_speed(spacing_um: float, dt_s: float, **options) -> float:
    """Speed of the reference front in um/s."""
    run = front_run(spacing_um, dt_s, **options)
    return float(wave_speed(front_cable(spacing_um).position_um, run.arrival_s, FRONT_LENGTH_UM)[0])


RECOVERY_LENGTH_UM, RECOVERY_SPACING_UM, RECOVERY_DT_S = 32.0, 0.25, 5e-5
RECOVERY_GAPS_S = (0.1, 0.3, 1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 14.0, 20.0, 25.0, 30.0)

_RESPONSE_S = 0.4


def recovery_parameters() -> Parameters:
    """Parameters of the recovery case: pumps, exchangers and leak of the plasma membrane threefold, else the defaults.

    Found by a scan of receptor density (1.5 to 3 per um2), plasma membrane (1, 3 and 10 times, its leak from the
    balance) and recovery rate (0.1, 0.3 and 1 per s). With the default membrane the emptied cell of the front refills
    slowly and releases again by itself on the way; with the threefold it returns to rest without that, within 25 s, and
    the response to a second stimulus grows from nothing to all over gaps of 2 to 30 s.
    """
    return Parameters(plasma_scale=3.0)


@dataclass(frozen=True)
class Recovery:
    """Response to a second stimulus after several gaps.

    Attributes
    ----------
    gap_s : (G,) between the stimuli.
    ratio : (G,) rise of cytosolic calcium half-way along the cable after the second stimulus over that after the first.
    er_uM : (G,) ER calcium there when the second stimulus comes.
    last_off_rest_s : when ER calcium there was last 5 uM away from rest with one stimulus alone (inf: still at the
    end).
    """

    gap_s: np.ndarray
    ratio: np.ndarray
    er_uM: np.ndarray
    last_off_rest_s: float


def recovery_curve(
    gaps_s: Sequence[float] = RECOVERY_GAPS_S,
    *,
    channel: Channel | None = None,
    dt_s: float = RECOVERY_DT_S,
    spacing_um: float = RECOVERY_SPACING_UM,
    parameters: Parameters | None = None,
) -> Recovery:
    """Paired pulses on the recovery case.

    One run with the first stimulus alone is copied at each gap, so that the slow part is computed once. The first gap
    has to leave the first wave time to pass half of the cable (0.03 s).
    """
    gaps = np.sort(np.asarray(gaps_s, dtype=float))
    own = parameters or recovery_parameters()
    n = round(RECOVERY_LENGTH_UM / spacing_um)
    cable = uniform_cable(RECOVERY_LENGTH_UM, FRONT_RADIUS_UM, FRONT_ER_RADIUS_UM, n)
    site, every = n // 2, max(1, round(1e-3 / dt_s / 5))
    base = CableSimulation([cable], own, dt_s, channel=channel, check_grid=False)
    ratios, er, off_rest, first_rise = [], [], 0.0, 0.0
    for gap in gaps:
        since = gap - base.steps_done * dt_s
        if since > 0.5 * dt_s:
            run = base.run(since, Stimulus(), sites=[site], every=every)
            u, e = run.traces[0, :, 0, 0], run.traces[0, :, 0, 1]
            early = run.time_s <= _RESPONSE_S
            if early.any():
                first_rise = max(first_rise, u[early].max() - own.rest_cytosol_uM)
            away = np.flatnonzero(np.abs(e - own.rest_er_uM) > 5.0)
            off_rest = run.time_s[away[-1]] if len(away) else off_rest
            if len(away) and away[-1] == len(e) - 1:
                off_rest = np.inf
        before, at_gap, _ = base.concentrations_uM[0, site]
        second = copy.deepcopy(base)
        again = second.run(_RESPONSE_S, Stimulus(onsets_s=(0.0, gap)), sites=[site], every=every)
        rise = again.traces[0, :, 0, 0].max() - before
        ratios.append(max(rise, 0.0))
        er.append(at_gap)
    return Recovery(gaps, np.array(ratios) / first_rise, np.array(er), off_rest)
