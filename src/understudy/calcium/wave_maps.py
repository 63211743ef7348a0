"""Waves over receptor density and ER radius, by a network or by the equations, with the time that they take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from understudy.calcium.cable_dynamics import CableRun, CableSimulation
from understudy.calcium.cable_geometry import Cable, uniform_cable
from understudy.calcium.device_cables import DeviceCables
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
DEVICE_CABLES = 4096
"""Cables that a device steps together (choice: some 2 GB of its memory at the published length)."""


@dataclass(frozen=True)
class MappedWaves:
    """Waves of K cables and the seconds that all took.

    Attributes
    ----------
    speed_um_per_s : (K,) 0 where no wave passed.
    peak_uM, duration_s : (K,) of cytosolic calcium at 0.6 of the cable, width at half height; NaN without a wave.
    flagged : (K,) share of node-steps outside the domain of training; from the compiled engine the same for the eight
        cables of a block.
    """

    speed_um_per_s: np.ndarray
    peak_uM: np.ndarray
    duration_s: np.ndarray
    flagged: np.ndarray
    seconds: float


def _measures(run: CableRun, position_um: np.ndarray, length_um: float) -> tuple[np.ndarray, ...]:
    """Speed, peak and duration (K,) from a run whose first site is where peaks are measured."""
    speed = wave_speed(position_um, run.arrival_s, length_um)
    # Cells that all release at once make no wave: their arrivals are no line.
    speed = np.where((speed > 0) & (speed < FASTEST_UM_PER_S), speed, 0.0)
    passed = speed > 0
    u = run.traces[:, :, 0, 0]
    width = [width_at_half_height_s(run.time_s, trace) if ok else np.nan for trace, ok in zip(u, passed, strict=True)]
    return speed, np.where(passed, u.max(axis=1), np.nan), np.array(width)


def _engine(
    cables: list[Cable], own: list[Parameters], dt_s: float, watched: tuple[RateNetwork, Domain] | None,
    device: torch.device | None,
) -> tuple[CableSimulation | DeviceCables, Callable[[], np.ndarray]]:  # fmt: skip
    """What steps the cables, and what gives the flagged share (K,) after its run."""
    if watched is None:
        return CableSimulation(cables, own, dt_s, lanes=True, check_grid=False), lambda: np.zeros(len(own))
    network, domain = watched
    if device is not None:
        simulation = DeviceCables(cables, own, dt_s, network, device, domain=domain, check_grid=False)
        return simulation, lambda: simulation.outside_share
    channel = network_channel(network, domain=domain)
    simulation = CableSimulation(cables, own, dt_s, channel=channel, lanes=True, check_grid=False)
    return simulation, lambda: np.full(len(own), channel.excursion.share)


def mapped_waves(
    density_per_um2: np.ndarray, er_radius_um: np.ndarray, dt_s: float, length_um: float,
    watched: tuple[RateNetwork, Domain] | None = None, device: torch.device | None = None,
) -> MappedWaves:  # fmt: skip
    """Waves of cables (K,) with a network for the receptors, or with the equations.

    ``device`` is where a network's cables are stepped by `understudy.calcium.device_cables`; None for the compiled
    engine, which the equations always take.
    """
    cells = round(length_um / SPACING_UM)
    duration_s = length_um / _SLOWEST_UM_PER_S + _AFTER_S
    # A block of lanes at a time, so that each has a monitor of its own; a device has one for each cable.
    at_once = LANES if watched is None or device is None else DEVICE_CABLES
    parts: list[tuple[np.ndarray, ...]] = []
    seconds = 0.0
    # The first one, by which code is compiled or loaded, is not timed.
    for first in (-1, *range(0, len(density_per_um2), at_once)):
        rows = slice(max(first, 0), max(first, 0) + at_once)
        own = [replace(Parameters(), ryanodine_per_um2=float(x)) for x in density_per_um2[rows]]
        cables = [uniform_cable(length_um, RADIUS_UM, float(r), cells) for r in er_radius_um[rows]]
        site = cables[0].nearest(0.6 * length_um)
        begin = time.perf_counter()
        simulation, flagged = _engine(cables, own, dt_s, watched, device)
        if first < 0:
            simulation.run(dt_s, NO_STIMULUS)
            continue
        run = simulation.run(duration_s, Stimulus(), sites=[site], every=max(1, round(2e-4 / dt_s)))
        seconds += time.perf_counter() - begin
        parts.append((*_measures(run, cables[0].position_um, length_um), flagged()))
    return MappedWaves(*(np.concatenate(column) for column in zip(*parts, strict=True)), seconds)
