"""One network for all settings of the designed channel's knobs, fitted to clamps of channels with drawn knobs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from understudy.calcium.clamp_protocols import DRAWN_KINDS, Clamps, drawn_clamps, joined
from understudy.calcium.clamp_training import (
    POWER,
    ClampErrors,
    FitStage,
    FittedChannel,
    fit_clamps,
    predicted_clamps,
)
from understudy.calcium.designed_channel import KNOB_RANGES, DesignedChannel, knob_values, spread_knobs
from understudy.calcium.rate_network import Drive, RateForm
from understudy.surrogate.metrics import nrmse, r2

DESIGNED_FIT = (FitStage(1, 12288, 700), FitStage(4, 4096, 250))
"""Stages for the network of all knobs (minutes)."""

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


def fit_designed(
    seed: int,
    *,
    training: int = 640,
    stopping: int = 48,
    intervals: int = 120,
    stages: Sequence[FitStage] = DESIGNED_FIT,
) -> FittedChannel:
    """Network of all knobs; the seed sets protocols, knobs and first weights."""
    rng = np.random.default_rng([seed, 8])
    fitted, knobs = designed_clamps(training, intervals, rng)
    kept, kept_knobs = designed_clamps(stopping, intervals, rng)
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
