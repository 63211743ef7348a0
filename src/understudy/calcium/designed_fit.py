"""One network for all settings of the designed channel's knobs, fitted to clamps of channels with drawn knobs.

Beside the protocols stand courses of calcium near a stimulated end (`pulsed_clamps`): whether a wave starts is decided
there within milliseconds, by channels that have hardly opened, and few of the drawn protocols come near that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from understudy.calcium.cable_dynamics import simulate_cables
from understudy.calcium.clamp_protocols import DRAWN_KINDS, Clamps, drawn_clamps, joined, recorded_clamps
from understudy.calcium.clamp_training import (
    POWER,
    ClampErrors,
    FitStage,
    FittedChannel,
    fit_clamps,
    predicted_clamps,
)
from understudy.calcium.designed_channel import KNOB_RANGES, DesignedChannel, knob_values, spread_knobs
from understudy.calcium.designed_waves import Bench, exact_channels
from understudy.calcium.rate_network import Drive, RateForm
from understudy.calcium.stimulus import Stimulus
from understudy.surrogate.metrics import nrmse, r2

DESIGNED_FIT = (FitStage(1, 12288, 1400), FitStage(4, 4096, 500), FitStage(16, 768, 120))
QUICK_DESIGNED_FIT = (FitStage(1, 2048, 160), FitStage(4, 512, 60))
"""Stages for the network of all knobs, of a study (minutes) and of a small one (seconds)."""

PULSES_UM_UM_PER_S = (200.0, 5000.0)
PULSE_SITES_UM = (0.4, 1.4, 4.0)
"""Influx of pulses, from below to above where waves start, and places where calcium is noted (choices)."""
_PULSE_EVERY = 4

_UNITS = {"open_max": "1", "inactivation_s": "s", "activation_uM": "uM"}


def designed_form(hidden: tuple[int, int] = (24, 24)) -> RateForm:
    """Form of the network: the family's, with the knobs as further drives."""
    own = DesignedChannel.driver
    drives = (Drive("calcium", "uM", "log", own.low, own.high),)
    drives += tuple(Drive(name, _UNITS[name], "log", *KNOB_RANGES[name]) for name in KNOB_RANGES)
    return RateForm(DesignedChannel.name, drives, "pair", sees_gates=True, powers=(POWER, 1), hidden=hidden)


def designed_clamps(count: int, intervals: int, rng: np.random.Generator) -> tuple[Clamps, np.ndarray]:
    """Protocols, each of a channel with its own drawn knobs, and the knobs' values (count, 3)."""
    knobs = spread_knobs(count, rng)
    kinds = [DRAWN_KINDS[k % len(DRAWN_KINDS)] for k in range(count)]
    parts = [
        drawn_clamps(DesignedChannel(own), 1, intervals, rng, (kind,)) for own, kind in zip(knobs, kinds, strict=True)
    ]
    return joined(parts), knob_values(knobs)


def pulsed_clamps(count: int, intervals: int, rng: np.random.Generator) -> tuple[Clamps, np.ndarray]:
    """Clamps to the calcium of cables after a pulse of drawn influx, and the drawn knobs' values (count, 3).

    The course is that of the design itself near the stimulated end of `understudy.calcium.designed_waves.Bench`.
    """
    bench = Bench()
    cable, knobs = bench.cable, spread_knobs(count, rng)
    influx = np.exp(rng.uniform(*np.log(PULSES_UM_UM_PER_S), count))
    run = simulate_cables(
        [cable] * count,
        bench.parameters,
        [Stimulus(density_uM_um_per_s=float(own)) for own in influx],
        intervals * _PULSE_EVERY * bench.dt_s,
        bench.dt_s,
        sites=[cable.nearest(x) for x in PULSE_SITES_UM],
        every=_PULSE_EVERY,
        channel=exact_channels(list(knobs)),
        check_grid=False,
    )
    calcium = run.traces[np.arange(count), :, rng.integers(len(PULSE_SITES_UM), size=count), 0]
    rest = np.full((count, 1), bench.parameters.rest_cytosol_uM)
    waves, dt_s = np.hstack([rest, 0.5 * (calcium[:, 1:] + calcium[:, :-1])]), _PULSE_EVERY * bench.dt_s
    parts = [recorded_clamps(DesignedChannel(own), wave[None], dt_s) for own, wave in zip(knobs, waves, strict=True)]
    return joined(parts), knob_values(knobs)


def _courses(count: int, intervals: int, rng: np.random.Generator) -> tuple[Clamps, np.ndarray]:
    """Protocols, two for each pulse, and their knobs' values."""
    drawn, pulsed = designed_clamps(count, intervals, rng), pulsed_clamps(count // 2, intervals, rng)
    return joined([drawn[0], pulsed[0]]), np.concatenate([drawn[1], pulsed[1]])


def fit_designed(
    seed: int,
    *,
    training: int = 640,
    stopping: int = 48,
    intervals: int = 120,
    stages: Sequence[FitStage] = DESIGNED_FIT,
) -> FittedChannel:
    """Network of all knobs; the seed sets protocols and pulses (half as many), knobs and first weights."""
    rng = np.random.default_rng([seed, 8])
    fitted, knobs = _courses(training, intervals, rng)
    kept, kept_knobs = _courses(stopping, intervals, rng)
    # Errors count over what each channel can open at most, else weak channels would hardly count; and relative to the
    # open probability where it is small, which decides where waves start.
    return fit_clamps(
        designed_form(), fitted, kept, seed=seed, stages=stages, conditions=(knobs, kept_knobs),
        ranges=(knobs[:, 0], kept_knobs[:, 0]), nearly_closed=1.0,
    )  # fmt: skip


def designed_errors(fitted: FittedChannel, count: int = 48, seed: int = 99, intervals: int = 120) -> ClampErrors:
    """Errors on protocols and knobs that no fit has seen."""
    clamps, knobs = designed_clamps(count, intervals, np.random.default_rng([seed, 9]))
    found = predicted_clamps(fitted.network, clamps, knobs)[:, 1:].ravel()
    truth = clamps.truth[:, 1:, 0].ravel()
    return ClampErrors(count, r2(truth, found), nrmse(truth, found))
