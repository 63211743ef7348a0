"""Protocols that drive a channel: steps, paired pulses, ramps, noise, and clamps to recorded waveforms.

A protocol is a staircase: intervals of their own lengths with a constant driver each, so that its exact solution is
known. Intervals grow geometrically after each jump, from well below the channel's shortest time constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from understudy.calcium.channel_family import ExactChannel, space_clamp
from understudy.errors import InputError

STEPS, PAIRED, RAMP, NOISE, RECORDED = "steps", "paired pulses", "ramp", "noise", "recorded waveform"
DRAWN_KINDS = (STEPS, PAIRED, RAMP, NOISE)


@dataclass(frozen=True)
class Clamps:
    """N protocols of T intervals with their exact answers.

    Attributes
    ----------
    kind : (N,) one of the kinds above.
    hold : (N,) driver before.
    drive, dt_s : (N, T).
    truth : (N, T + 1, 2) open probability and inactivated fraction.
    """

    kind: np.ndarray
    hold: np.ndarray
    drive: np.ndarray
    dt_s: np.ndarray
    truth: np.ndarray

    def __len__(self) -> int:
        return len(self.kind)

    def take(self, rows: np.ndarray) -> Clamps:
        """Some of the protocols."""
        return Clamps(self.kind[rows], self.hold[rows], self.drive[rows], self.dt_s[rows], self.truth[rows])


def joined(sets: Sequence[Clamps]) -> Clamps:
    """Several sets of protocols with the same number of intervals as one."""
    lengths = {part.drive.shape[1] for part in sets}
    if len(lengths) != 1:
        raise InputError(f"protocols: found sets of {sorted(lengths)} intervals, accepted are sets of one number")
    return Clamps(*(np.concatenate([getattr(part, name) for part in sets]) for name in Clamps.__dataclass_fields__))


def _growing(total_s: float, first_s: float, n: int) -> np.ndarray:
    """``n`` intervals that grow geometrically from about ``first_s`` and add up to ``total_s``."""
    first_s = min(first_s, total_s / n)
    weight = np.geomspace(1.0, max(total_s / (first_s * n), 1.0) ** 1.5, n)
    return total_s * weight / weight.sum()


def _drawn(channel: ExactChannel, kind: str, intervals: int, rng: np.random.Generator):
    """Holding driver, drivers (T,) and lengths (T,) of one protocol."""
    driver = channel.driver
    spread = np.sqrt(channel.slow_s * channel.fast_s)

    def level() -> float:
        return float(driver.unscaled(rng.uniform(-0.95, 0.95)))

    def duration(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    hold = channel.rest if rng.random() < 0.5 else level()
    if kind in (STEPS, PAIRED):
        pieces = 4
        test = level()
        levels = [test, hold, test, hold] if kind == PAIRED else [level() for _ in range(pieces)]
        lengths = [duration(2 * channel.fast_s, 2 * channel.slow_s) for _ in range(pieces)]
        counts = np.diff(np.round(np.linspace(0, intervals, pieces + 1)).astype(int))
        drive = np.repeat(levels, counts)
        dt = np.concatenate([_growing(t, 0.1 * channel.fast_s, n) for t, n in zip(lengths, counts, strict=True)])
    elif kind == RAMP:
        total = duration(spread, 2 * channel.slow_s)
        turn = rng.uniform(0.2, 0.8)
        phase = np.linspace(0, 1, intervals)
        up, down = (driver.scaled(level()) for _ in range(2))
        start = driver.scaled(hold)
        drive = driver.unscaled(np.interp(phase, [0, turn, 1], [start, up, down]))
        dt = np.full(intervals, total / intervals)
    elif kind == NOISE:
        step = duration(channel.fast_s, spread)
        dt = rng.exponential(step, intervals) + 0.02 * step
        keep = np.exp(-dt / duration(2 * step, 20 * step))
        z = np.empty(intervals)
        value, centre = driver.scaled(hold), rng.uniform(-0.5, 0.5)
        for k in range(intervals):
            value = centre + (value - centre) * keep[k] + 0.5 * np.sqrt(1 - keep[k] ** 2) * rng.standard_normal()
            z[k] = value
        drive = driver.unscaled(np.clip(z, -0.98, 0.98))
    else:
        raise InputError(f"protocol: found the kind {kind!r}, accepted are {', '.join(DRAWN_KINDS)}")
    return hold, drive, dt


def drawn_clamps(
    channel: ExactChannel, count: int, intervals: int, rng: np.random.Generator, kinds: Sequence[str] = DRAWN_KINDS
) -> Clamps:
    """Random protocols with their exact answers; kinds take turns."""
    kind = np.array([kinds[k % len(kinds)] for k in range(count)])
    hold, drive, dt = (np.array(x) for x in zip(*(_drawn(channel, str(k), intervals, rng) for k in kind), strict=True))
    return Clamps(kind, hold, drive, dt, space_clamp(channel, hold, drive, dt))


def recorded_clamps(channel: ExactChannel, waves: np.ndarray, dt_s: float) -> Clamps:
    """Clamps to recorded waveforms (N, T) of the driver with a constant interval; the first value is the holding one.

    Raises
    ------
    InputError : a waveform that is not finite.
    """
    waves = np.asarray(waves, dtype=float)
    if not np.isfinite(waves).all():
        raise InputError("waves: found a number that is not finite, accepted are finite ones")
    dt = np.full(waves.shape, float(dt_s))
    hold = waves[:, 0].copy()
    return Clamps(np.full(len(waves), RECORDED), hold, waves, dt, space_clamp(channel, hold, waves, dt))
