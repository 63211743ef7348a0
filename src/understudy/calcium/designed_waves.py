"""What a designed channel does in a cable: amplitude, duration, speed and threshold of its waves, and the way back.

Receptors are dense and the ER is wide, so that a wave does not empty it at once and the channel, not the store, sets
amplitude and duration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from understudy.calcium.cable_dynamics import CableSimulation, Channel
from understudy.calcium.cable_geometry import Cable, uniform_cable
from understudy.calcium.channel_family import ExactGates
from understudy.calcium.designed_channel import KNOB_RANGES, DesignedChannel, Knobs, knob_values, knobs_at
from understudy.calcium.network_gates import NetworkGates, by_lane
from understudy.calcium.parameters import Parameters
from understudy.calcium.rate_network import RateNetwork
from understudy.calcium.stimulus import Stimulus
from understudy.calcium.vector_lanes import LANES
from understudy.calcium.waves import SPEED_RANGE, width_at_half_height_s
from understudy.errors import InputError

ChannelOf = Callable[[Sequence[Knobs]], Channel]
"""Makes the channel of cables with given knobs, one each."""


@dataclass(frozen=True)
class Bench:
    """The cable in which designed channels are tried (choice, see the module)."""

    length_um: float = 32.0
    radius_um: float = 0.5
    er_radius_um: float = 0.3
    spacing_um: float = 0.25
    dt_s: float = 5e-5
    duration_s: float = 0.2
    receptors_per_um2: float = 20.0
    influx_uM_um_per_s: float = 5000.0

    @property
    def cable(self) -> Cable:
        return uniform_cable(self.length_um, self.radius_um, self.er_radius_um, round(self.length_um / self.spacing_um))

    @property
    def parameters(self) -> Parameters:
        return Parameters(ryanodine_per_um2=self.receptors_per_um2)


def network_channels(network: RateNetwork) -> ChannelOf:
    """Channels by a network that knows the knobs."""

    def channel(knobs: Sequence[Knobs]) -> Channel:
        lanes = LANES if len(knobs) > 1 else 1
        return NetworkGates(network, tuple(by_lane(column, lanes) for column in knob_values(np.array(knobs)).T))

    return channel


def exact_channels(knobs: Sequence[Knobs]) -> Channel:
    """Channels by the design itself."""
    lanes = LANES if len(knobs) > 1 else 1
    rows = by_lane(np.arange(len(knobs)), lanes).astype(int)
    filled = np.empty(len(knobs), dtype=object)
    filled[:] = list(knobs)
    return ExactGates(DesignedChannel(filled[rows]))


@dataclass(frozen=True)
class WaveOutcomes:
    """Of K cables, NaN where no wave passed: rise of cytosolic calcium at 0.6 of the length in uM, its full width at
    half height in s, the speed in um/s."""

    amplitude_uM: np.ndarray
    duration_s: np.ndarray
    speed_um_per_s: np.ndarray


def wave_outcomes(channel_of: ChannelOf, knobs: Sequence[Knobs], bench: Bench = Bench()) -> WaveOutcomes:
    """Waves of cables with given knobs, all at once."""
    cable, own = bench.cable, bench.parameters
    marks = np.linspace(*SPEED_RANGE, 6) * bench.length_um
    sites = [cable.nearest(x) for x in (0.6 * bench.length_um, *marks)]
    simulation = CableSimulation([cable] * len(knobs), own, bench.dt_s, channel=channel_of(knobs), check_grid=False)
    run = simulation.run(bench.duration_s, Stimulus(density_uM_um_per_s=bench.influx_uM_um_per_s), sites=sites)
    amplitude, duration, speed = (np.full(len(knobs), np.nan) for _ in range(3))
    for k, trace in enumerate(run.traces[:, :, :, 0]):
        rises = trace.max(axis=0) - own.rest_cytosol_uM
        if rises.min() < 3 * own.rest_cytosol_uM:
            continue
        amplitude[k] = rises[0]
        duration[k] = width_at_half_height_s(run.time_s, trace[:, 0])
        arrivals = [
            _first_above(run.time_s, u, own.rest_cytosol_uM + 0.5 * r) for u, r in zip(trace.T, rises, strict=True)
        ]
        speed[k] = 1 / np.polyfit(cable.position_um[sites[1:]], arrivals[1:], 1)[0]
    return WaveOutcomes(amplitude, duration, speed)


def _first_above(time_s: np.ndarray, trace: np.ndarray, level: float) -> float:
    k = int(np.argmax(trace > level))
    return float(np.interp(level, trace[k - 1 : k + 1], time_s[k - 1 : k + 1])) if k else float(time_s[0])


def wave_thresholds(
    channel_of: ChannelOf, knobs: Sequence[Knobs], bench: Bench = Bench(), *,
    low: float = 50.0, high: float = 2e4, bisections: int = 12, duration_s: float = 0.1,
) -> np.ndarray:  # fmt: skip
    """Smallest influx in uM um/s whose pulse starts a wave that passes 0.6 of the cable, (K,), by bisection.

    The interval shrinks by ``(high / low)**(1 / 2**bisections)``; NaN where not even ``high`` starts one.
    """
    cable, own = bench.cable, bench.parameters
    site = cable.nearest(0.6 * bench.length_um)

    def passes(influx: np.ndarray) -> np.ndarray:
        simulation = CableSimulation([cable] * len(knobs), own, bench.dt_s, channel=channel_of(knobs), check_grid=False)
        run = simulation.run(duration_s, [Stimulus(density_uM_um_per_s=float(x)) for x in influx])
        return run.peak_uM[:, site] > 4 * own.rest_cytosol_uM

    bottom, top = np.full(len(knobs), np.log(low)), np.full(len(knobs), np.log(high))
    possible = passes(np.exp(top))
    for _ in range(bisections):
        middle = 0.5 * (bottom + top)
        wave = passes(np.exp(middle))
        top, bottom = np.where(wave, middle, top), np.where(wave, bottom, middle)
    return np.where(possible, np.exp(0.5 * (bottom + top)), np.nan)


@dataclass(frozen=True)
class Design:
    """Answer to a wanted wave: the knobs, the outcome and its relative errors of amplitude and duration, and how many
    simulations it took."""

    knobs: Knobs
    amplitude_uM: float
    duration_s: float
    errors: tuple[float, float]
    simulations: int


def design_wave(
    channel_of: ChannelOf, amplitude_uM: float, duration_s: float, bench: Bench = Bench(), *,
    activation_uM: float = 0.5, grid: int = 6, refinements: int = 4, tolerance: float = 0.01,
) -> Design:  # fmt: skip
    """Knobs whose wave has a wanted amplitude and duration.

    Two knobs, the largest open probability and the time of inactivation, are tried on a grid in one batch. From the
    best, Newton's method on the logarithms follows, its slopes by differences, each round one batch.

    Raises
    ------
    InputError : no knobs on the grid make a wave.
    """
    wanted = np.log([amplitude_uM, duration_s])
    fixed = Knobs(activation_uM=activation_uM).coordinates()[2]

    def outcome(points: np.ndarray) -> np.ndarray:
        own = wave_outcomes(channel_of, [knobs_at(np.array([*z, fixed])) for z in points], bench)
        return np.log(np.stack([own.amplitude_uM, own.duration_s], axis=1))

    axis = np.linspace(-0.9, 0.9, grid)
    points = np.array([(a, b) for a in axis for b in axis])
    found = outcome(points)
    misses = np.abs(found - wanted).max(axis=1)
    if not np.isfinite(misses).any():
        raise InputError(
            f"design: found no wave on the grid of {', '.join(list(KNOB_RANGES)[:2])}, accepted is a bench where some "
            "knobs make one"
        )
    best = int(np.nanargmin(misses))
    z, miss, value, runs = points[best], misses[best], found[best], len(points)
    for _ in range(refinements):
        if miss < tolerance:
            break
        step = 0.04
        probes = np.clip(z + step * np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]]), -1, 1)
        at = outcome(probes)
        runs += len(probes)
        slopes = np.stack([
            (at[1] - at[2]) / (probes[1, 0] - probes[2, 0]), (at[3] - at[4]) / (probes[3, 1] - probes[4, 1])
        ], axis=1)  # fmt: skip
        if not np.isfinite(slopes).all():
            break
        full = np.clip(np.linalg.lstsq(slopes, wanted - at[0], rcond=1e-3)[0], -0.4, 0.4)
        trials = np.clip(z + full * np.array([1.0, 0.7, 0.4, 0.2])[:, None], -1, 1)
        after = outcome(trials)
        runs += len(trials)
        misses = np.abs(after - wanted).max(axis=1)
        if not np.isfinite(misses).any() or np.nanmin(misses) >= miss:
            break
        best = int(np.nanargmin(misses))
        z, miss, value = trials[best], misses[best], after[best]
    reached = np.exp(value)
    errors = (float(reached[0] / amplitude_uM - 1), float(reached[1] / duration_s - 1))
    return Design(knobs_at(np.array([*z, fixed])), float(reached[0]), float(reached[1]), errors, runs)
