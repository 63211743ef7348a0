"""Designed channels: dynamics, knobs, waves in the cable, inverse design."""

import numpy as np
import pytest

from understudy.calcium.clamp_training import FitStage
from understudy.calcium.designed_channel import (
    KNOB_RANGES,
    REST_OPEN,
    DesignedChannel,
    Knobs,
    knob_values,
    knobs_at,
    spread_knobs,
)
from understudy.calcium.designed_fit import designed_clamps, designed_errors, designed_form, fit_designed, pulsed_clamps
from understudy.calcium.designed_waves import (
    Bench,
    design_wave,
    exact_channels,
    network_channels,
    wave_outcomes,
    wave_thresholds,
)
from understudy.calcium.knob_study import AMPLITUDE, KnobMap, Sweep, knob_maps
from understudy.calcium.parameters import Parameters
from understudy.errors import InputError

# Half the published scale: a coarser grid and step, a shorter cable.
SMALL = Bench(length_um=20.0, spacing_um=0.5, dt_s=1e-4, duration_s=0.12)


def test_knobs_and_coordinates():
    knobs = spread_knobs(16, np.random.default_rng(0))
    values = knob_values(knobs)
    for column, (low, high) in zip(values.T, KNOB_RANGES.values(), strict=True):
        assert low <= column.min() < 2 * low and high / 2 < column.max() <= high
    again = knob_values(np.array([knobs_at(own.coordinates()) for own in knobs]))
    np.testing.assert_allclose(again, values, rtol=1e-12)
    with pytest.raises(InputError, match=r"open_max: found 2, accepted are 0.05 to 0.9"):
        Knobs(open_max=2.0)


def test_design_keeps_its_promises():
    """Never above Pmax, P + q at most 1, near the receptors' open probability at rest, and a flow at constant u."""
    clamps, values = designed_clamps(16, 40, np.random.default_rng(1))
    assert (clamps.truth[..., 0].max(axis=1) <= values[:, 0]).all()
    assert clamps.truth.sum(axis=-1).max() <= 1
    channel = DesignedChannel(Knobs())
    rest = channel.observed(channel.stationary(np.array(0.05)), 0.05)[0]
    assert rest == pytest.approx(Parameters().rest_open_probability, rel=0.1)
    start, u = channel.stationary(np.array(0.05)), np.array(1.5)
    twice = channel.relaxed(channel.relaxed(start, u, np.array(2e-3)), u, np.array(3e-3))
    np.testing.assert_allclose(channel.relaxed(start, u, np.array(5e-3)), twice, rtol=1e-12)
    assert channel.observed(twice, u)[0] > 100 * REST_OPEN


def test_pulses_are_answered_as_in_the_cable():
    """Begun at rest, some near a wave's peak and some hardly moved, each answered by its own design."""
    clamps, values = pulsed_clamps(12, 60, np.random.default_rng(2))
    assert clamps.drive.shape == (12, 60) and values.shape == (12, 3)
    np.testing.assert_array_equal(clamps.hold, Parameters().rest_cytosol_uM)
    assert clamps.drive.max() > 2 and clamps.drive.max(axis=1).min() < 1
    channel = DesignedChannel(Knobs(*values[5]))
    state = channel.stationary(clamps.hold[5])
    for u, dt_s in zip(clamps.drive[5], clamps.dt_s[5], strict=True):
        state = channel.relaxed(state, u, dt_s)
    np.testing.assert_allclose(clamps.truth[5, -1], channel.observed(state, u), rtol=1e-12)


def test_exact_channels_have_their_own_knobs():
    """Nine cables, in two blocks of lanes: each gets what it gets alone."""
    knobs = [Knobs(0.1 + 0.05 * k, 0.02, 0.5) for k in range(9)]
    bench = Bench(length_um=10.0, spacing_um=0.5, dt_s=1e-4, duration_s=0.05)
    together = wave_outcomes(exact_channels, knobs, bench).amplitude_uM
    alone = [wave_outcomes(exact_channels, [own], bench).amplitude_uM[0] for own in (knobs[0], knobs[8])]
    np.testing.assert_allclose(together[[0, 8]], alone, rtol=1e-9)
    assert (np.diff(together) > 0).all()


def test_threshold_parts_waves_from_none():
    knobs = [Knobs(0.2, 0.03, 0.5), Knobs(0.2, 0.03, 0.9)]
    found = wave_thresholds(exact_channels, knobs, SMALL, bisections=9)
    assert found[1] > 1.5 * found[0]
    for k, own in enumerate(knobs):
        bench = [Bench(**{**SMALL.__dict__, "influx_uM_um_per_s": factor * found[k]}) for factor in (0.95, 1.05)]
        waves = [np.isfinite(wave_outcomes(exact_channels, [own], each).amplitude_uM[0]) for each in bench]
        assert waves == [False, True]


def test_inverse_design_hits():
    found = design_wave(exact_channels, 6.0, 0.012, SMALL, grid=4)
    assert max(np.abs(found.errors)) < 0.02
    again = wave_outcomes(exact_channels, [found.knobs] * 2, SMALL)
    assert again.amplitude_uM[0] == pytest.approx(found.amplitude_uM, rel=1e-9)
    assert again.duration_s[0] == pytest.approx(found.duration_s, rel=1e-9)


def test_design_without_waves():
    mute = Bench(**{**SMALL.__dict__, "receptors_per_um2": 0.5, "duration_s": 0.02})
    with pytest.raises(InputError, match="design: found no wave on the grid"):
        design_wave(exact_channels, 6.0, 0.012, mute, grid=2)


def map_of(outcomes):
    values = np.geomspace(0.1, 0.4, 8)
    return KnobMap(Sweep("open_max", AMPLITUDE, 0.1, 0.4, Knobs()), values, np.array(outcomes), values)


def test_verdict_on_knobs():
    values = np.geomspace(0.1, 0.4, 8)
    assert map_of([values, 1.001 * values, 0.999 * values]).passed
    assert not map_of([values, 1.2 * values]).passed
    assert not map_of([values**0.3, values**0.3]).passed
    swapped = values[[0, 1, 3, 2, 4, 5, 6, 7]]
    assert not map_of([values, swapped]).passed
    missing = np.where(values > 0.3, np.nan, values)
    assert map_of([values, missing]).spearman == 0


def test_a_quick_network_steers_waves():
    """A small network after seconds: monotone in the largest open probability, within a fifth of the design."""
    stages = (FitStage(1, 2048, 120), FitStage(4, 512, 40))
    fitted = fit_designed(0, training=96, stopping=16, intervals=60, stages=stages)
    assert fitted.network.form == designed_form()
    assert designed_errors(fitted, 16, intervals=60).nrmse < 0.05
    sweep = Sweep("open_max", AMPLITUDE, 0.15, 0.6, Knobs(0.2, 0.03, 0.5))
    (found,) = knob_maps([network_channels(fitted.network)], exact_channels, values=4, bench=SMALL, sweeps=[sweep])
    assert found.spearman == pytest.approx(1.0)
    assert found.span > 2
    assert found.design_error < 0.2
