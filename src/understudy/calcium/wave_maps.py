"""Waves over receptor density and ER radius, by a network or by the equations, with the time that they take."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np

from understudy.calcium.cable_dynamics import CableSimulation
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.gated_channel import Domain, network_channel
from understudy.calcium.hybrid_evaluation import FASTEST_UM_PER_S
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.vector_lanes import LANES
from understudy.calcium.waves import wave_speed, width_at_half_height_s

DENSITY_PER_UM2, ER_RADIUS_UM = (1.5, 6.0), (0.15, 0.35)
"""Ranges that are mapped (choice: from no wave to fast ones); training covered 1.8 to 5 per um2 and 0.2 to 0.3 um."""
RADIUS_UM, SPACING_UM = 0.5, 0.25
_SLOWEST_UM_PER_S, _AFTER_S = 400.0, 0.15


@dataclass(frozen=True)
class MappedWaves:
    """Waves of K cables and the seconds that all took.

    Attributes
    ----------
    speed_um_per_s : (K,) 0 where no wave passed.
    peak_uM, duration_s : (K,) of cytosolic calcium at 0.6 of the cable, width at half height; NaN without a wave.
    flagged : (K,) share of node-steps outside the domain of training, the same for the eight cables of a block.
    """

    speed_um_per_s: np.ndarray
    peak_uM: np.ndarray
    duration_s: np.ndarray
    flagged: np.ndarray
    seconds: float


def mapped_waves(
    density_per_um2: np.ndarray, er_radius_um: np.ndarray, dt_s: float, length_um: float,
    watched: tuple[RateNetwork, Domain] | None = None,
) -> MappedWaves:  # fmt: skip
    """Waves of cables (K,) with a network for the receptors, or with the equations."""
    cells = round(length_um / SPACING_UM)
    duration_s = length_um / _SLOWEST_UM_PER_S + _AFTER_S
    parts: list[tuple[np.ndarray, ...]] = []
    seconds = 0.0
    # A block of lanes at a time, so that each has a monitor of its own. The first one, compiled before, is not timed.
    for first in (-1, *range(0, len(density_per_um2), LANES)):
        rows = slice(max(first, 0), max(first, 0) + LANES)
        own = [replace(Parameters(), ryanodine_per_um2=float(x)) for x in density_per_um2[rows]]
        cables = [uniform_cable(length_um, RADIUS_UM, float(r), cells) for r in er_radius_um[rows]]
        site = cables[0].nearest(0.6 * length_um)
        begin = time.perf_counter()
        channel = None if watched is None else network_channel(watched[0], domain=watched[1])
        simulation = CableSimulation(cables, own, dt_s, channel=channel, lanes=True, check_grid=False)
        if first < 0:
            simulation.run(dt_s, NO_STIMULUS)
            continue
        run = simulation.run(duration_s, Stimulus(), sites=[site], every=max(1, round(2e-4 / dt_s)))
        seconds += time.perf_counter() - begin
        speed = wave_speed(cables[0].position_um, run.arrival_s, length_um)
        # Cells that all release at once make no wave: their arrivals are no line.
        speed = np.where((speed > 0) & (speed < FASTEST_UM_PER_S), speed, 0.0)
        passed = speed > 0
        u = run.traces[:, :, 0, 0]
        width = [
            width_at_half_height_s(run.time_s, trace) if ok else np.nan for trace, ok in zip(u, passed, strict=True)
        ]
        flagged = np.full(len(own), channel.excursion.share if channel is not None else 0.0)
        parts.append((speed, np.where(passed, u.max(axis=1), np.nan), np.array(width), flagged))
    return MappedWaves(*(np.concatenate(column) for column in zip(*parts, strict=True)), seconds)
