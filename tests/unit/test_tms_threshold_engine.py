"""The threshold engine on a small branched cell: kinetics, steps, searches, precision, independence of cases."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tms_branched_cell import branched_cell, plain_simulation

from understudy.errors import InputError
from understudy.tms.channel_kinetics import CHANNEL_KINETICS, gate_kinetics, rate_table
from understudy.tms.linear_response import current_response, linear_response
from understudy.tms.threshold_engine import find_thresholds, resting_state, simulate
from understudy.tms.thresholds import CROSSINGS
from understudy.tms.time_step import time_step_correction

DT_MS = 0.005
CELL = branched_cell()
REST = resting_state(CELL)


def rectangle(dt_ms: float) -> np.ndarray:
    """Means over steps of a pulse of 100 us that starts after 10 us, in 0.8 ms."""
    edges = np.arange(round(0.8 / dt_ms) + 1) * dt_ms
    return np.diff(np.clip(edges - 0.01, 0, 0.1)) / dt_ms


WAVEFORM = rectangle(DT_MS)


def fields(count: int, seed: int = 0) -> np.ndarray:
    """Quasi-potentials (count, M) of uniform fields in random directions."""
    direction = np.random.default_rng(seed).normal(size=(count, 3))
    return -1e-3 * direction / np.linalg.norm(direction, axis=1, keepdims=True) @ CELL.centre.T


@pytest.fixture(scope="module")
def thresholds():
    return find_thresholds(CELL, fields(20), WAVEFORM, DT_MS, rest_mV=REST)


def crossings(v: np.ndarray) -> np.ndarray:
    """Upward crossings of 0 mV (N,) in compartments with area, of potentials (N, S, M)."""
    return ((v[:, :-1] < 0) & (v[:, 1:] >= 0) & (CELL.area > 0)).sum(axis=(1, 2))


def test_kinetics_are_smooth_where_formulas_divide_by_zero():
    for v in (-38.0, -66.0, -32.0, -60.0, -17.0, -64.4, -154.9):
        for channel in CHANNEL_KINETICS:
            here, beside = (gate_kinetics(channel, np.array([x])) for x in (v, v + 1e-7))
            np.testing.assert_allclose(here, beside, rtol=1e-6)


def test_kinetics_of_published_values():
    # By hand from the formulas at -40 mV and 37 C, q = 2.3^1.6.
    q = 2.3**1.6
    (m, m_tau), (h, _) = gate_kinetics(CHANNEL_KINETICS[0], np.array([-40.0]))
    opening, closing = 0.182 * -2 / (1 - np.exp(2 / 6)), 0.124 * 2 / (1 - np.exp(-2 / 6))
    assert m[0] == pytest.approx(opening / (opening + closing), rel=1e-12)
    assert m_tau[0] == pytest.approx(1 / ((opening + closing) * q), rel=1e-12)
    assert h[0] == pytest.approx(1 / (1 + np.exp(26 / 6)), rel=1e-12)


def test_table_interpolates_rates():
    v = np.random.default_rng(1).uniform(-120, 60, 1000)
    table = rate_table((0, 4), DT_MS)
    place = (v - table.low_mV) / table.step_mV
    row, part = place.astype(int), (place % 1)[:, None]
    values = table.values[row] * (1 - part) + table.values[row + 1] * part
    column = 0
    for c in table.channels:
        for inf, tau in gate_kinetics(CHANNEL_KINETICS[c], v):
            rate = -np.expm1(-DT_MS / tau)
            # Largest error of linear interpolation at 1/16 mV; thresholds feel 2e-6 of it.
            np.testing.assert_allclose(values[:, column], rate, atol=3e-6)
            np.testing.assert_allclose(values[:, column + 1], rate * inf, atol=3e-6)
            column += 2


def test_resting_state_stays():
    v = simulate(CELL, fields(1), WAVEFORM, np.zeros(1), DT_MS, rest_mV=REST)
    assert np.abs(v - REST).max() < 1e-6


@pytest.mark.parametrize(("factor", "tolerance_mV"), [(0.2, 1e-5), (1.2, 1e-2)])
def test_steps_match_plain_implicit_euler(thresholds, factor, tolerance_mV):
    potential = fields(20)[:3]
    amplitude = factor * thresholds.threshold[:3]
    v = simulate(CELL, potential, WAVEFORM, amplitude, DT_MS, rest_mV=REST)
    expected = plain_simulation(CELL, REST, amplitude[2] * potential[2], WAVEFORM, DT_MS)
    assert (expected.max() > 0) == (factor > 1)
    # The table's error grows while a spike starts: its slope is some 1e3 mV/ms.
    assert np.abs(v[2] - expected).max() < tolerance_mV


def test_thresholds_bound_the_transition(thresholds):
    assert thresholds.found.all()
    potential = fields(20)
    start = np.broadcast_to(REST, (20, 1, len(CELL)))
    for factor, fires in ((1.0, True), (1 - 1.01e-4, False)):
        v = simulate(CELL, potential, WAVEFORM, factor * thresholds.threshold, DT_MS, rest_mV=REST)
        count = crossings(np.concatenate([start, v], axis=1))
        assert ((count >= CROSSINGS) == fires).all()


def test_site_and_time_are_those_of_the_first_crossing(thresholds):
    v = simulate(CELL, fields(20), WAVEFORM, thresholds.threshold, DT_MS, rest_mV=REST)
    for case in range(20):
        above = (v[case] >= 0) & (CELL.area > 0)
        step = int(np.argmax(above.any(axis=1)))
        # Of those that cross in one step, the highest was first.
        assert thresholds.site[case] == np.argmax(np.where(above[step], v[case, step], -np.inf))
        assert thresholds.time_ms[case] == pytest.approx((step + 1) * DT_MS)


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("order", [1, 2])
def test_bits_do_not_depend_on_neighbours(precision, order):
    potential = fields(20)
    options = {"rest_mV": REST, "precision": precision, "order": order}
    together = find_thresholds(CELL, potential, WAVEFORM, DT_MS, **options)
    shuffled = np.random.default_rng(5).permutation(20)[:17]
    some = find_thresholds(CELL, potential[shuffled], WAVEFORM, DT_MS, **options)
    alone = find_thresholds(CELL, potential[7:8], WAVEFORM, DT_MS, **options)
    for field in dataclasses.fields(together):
        values = getattr(together, field.name)
        np.testing.assert_array_equal(values[shuffled], getattr(some, field.name))
        np.testing.assert_array_equal(values[7:8], getattr(alone, field.name))


def test_guess_changes_runs_not_thresholds(thresholds):
    noise = np.random.default_rng(2).uniform(0.97, 1.03, 20)
    guessed = find_thresholds(CELL, fields(20), WAVEFORM, DT_MS, rest_mV=REST, guess=noise * thresholds.threshold)
    # Both ends of the bisection are within the tolerance of the same transition.
    np.testing.assert_allclose(guessed.threshold, thresholds.threshold, rtol=1e-4)
    assert guessed.runs.mean() < thresholds.runs.mean() - 2
    for far in (0.01, 30.0):
        poor = find_thresholds(CELL, fields(3), WAVEFORM, DT_MS, rest_mV=REST, guess=far * thresholds.threshold[:3])
        np.testing.assert_allclose(poor.threshold, thresholds.threshold[:3], rtol=1e-4)


def test_thresholds_scale_with_the_field_and_turn_with_the_pulse(thresholds):
    double = find_thresholds(CELL, 2 * fields(20), WAVEFORM, DT_MS, rest_mV=REST)
    np.testing.assert_allclose(2 * double.threshold, thresholds.threshold, rtol=2e-4)
    waves = np.concatenate([-np.ones((10, 1)) * WAVEFORM, np.ones((10, 1)) * WAVEFORM])
    signs = np.repeat([-1.0, 1.0], 10)[:, None]
    turned = find_thresholds(CELL, signs * fields(20), waves, DT_MS, rest_mV=REST)
    np.testing.assert_array_equal(turned.threshold, thresholds.threshold)


def test_single_precision_shifts_little(thresholds):
    single = find_thresholds(CELL, fields(20), WAVEFORM, DT_MS, rest_mV=REST, precision="float32")
    # Measured 7e-5 on real cells, with one step of the bisection (1e-4) on top.
    np.testing.assert_allclose(single.threshold, thresholds.threshold, rtol=2e-4)


def test_what_does_not_excite_has_no_threshold():
    potential = np.concatenate([np.full((1, len(CELL)), 7.0), fields(2)])
    result = find_thresholds(CELL, potential, WAVEFORM, DT_MS, rest_mV=REST)
    assert list(result.found) == [False, True, True]
    assert np.isnan(result.threshold[0]) and np.isnan(result.time_ms[0]) and result.site[0] == -1
    low = find_thresholds(CELL, potential, WAVEFORM, DT_MS, rest_mV=REST, limit=0.5 * np.nanmin(result.threshold))
    assert not low.found.any()


def test_second_order_converges_faster():
    # Extrapolation from 1.25 us is the reference; it leaves an error far below the differences here.
    potential = fields(8)
    options = {"rest_mV": REST, "order": 2}
    reference = time_step_correction(CELL, potential, rectangle, 0.00125, **options)
    limit = (
        reference.ratio
        * find_thresholds(CELL, potential, rectangle(0.00125), 0.00125, tolerance=1e-5, **options).threshold
    )
    error = {}
    for order in (1, 2):
        for dt in (0.005, 0.0025):
            found = find_thresholds(CELL, potential, rectangle(dt), dt, tolerance=1e-5, rest_mV=REST, order=order)
            error[order, dt] = np.abs(found.threshold / limit - 1).mean()
    assert 1.7 < error[1, 0.005] / error[1, 0.0025] < 2.3
    assert 3.0 < error[2, 0.005] / error[2, 0.0025] < 5.5
    assert error[2, 0.005] < 0.5 * error[1, 0.005]


def test_linear_response_is_the_engine_at_tiny_amplitude():
    rng = np.random.default_rng(6)
    potential = np.concatenate([fields(2), 0.01 * rng.normal(size=(2, len(CELL))).cumsum(axis=1)])
    samples = np.array([1, 7, 20, 40, len(WAVEFORM)])
    response = linear_response(CELL, WAVEFORM, DT_MS, samples, rest_mV=REST)
    at_rest, v = (
        simulate(CELL, potential, WAVEFORM, size, DT_MS, recorded=CELL.terminal, rest_mV=REST)[:, samples - 1]
        for size in (0.0, 1e-3)
    )
    expected = (v - at_rest) / 1e-3
    found = np.einsum("tkm,nm->ntk", response, potential)
    # 1e-3 V/m is linear to about 1e-6 and leaves 1e-8 mV of rounding.
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_response_is_reciprocal():
    targets = np.array([0, 3, 20, 40, len(CELL) - 1])
    response = current_response(CELL, WAVEFORM, DT_MS, np.array([30, 90]), targets, rest_mV=REST)[:, :, targets]
    np.testing.assert_allclose(response, response.transpose(0, 2, 1), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"potential_mV": np.zeros((2, 3))}, "potential_mV"),
        ({"potential_mV": np.full((1, len(CELL)), np.nan)}, "case 0 is not finite"),
        ({"waveform": np.zeros((3, 10))}, "waveform"),
        ({"waveform": np.array([0.0, np.nan])}, "waveform"),
        ({"dt_ms": 0.0}, "dt_ms"),
        ({"guess": np.zeros(1)}, "guess"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"limit": np.inf}, "limit"),
        ({"precision": "float16"}, "precision"),
        ({"order": 3}, "order"),
    ],
)
def test_bad_arguments_are_named(change, words):
    arguments = {"potential_mV": fields(1), "waveform": WAVEFORM, "dt_ms": DT_MS, "rest_mV": REST, **change}
    with pytest.raises(InputError, match=words):
        find_thresholds(CELL, **arguments)


@pytest.mark.parametrize("samples", [[0, 5], [5, 5], [7, 500], []])
def test_bad_samples_are_named(samples):
    with pytest.raises(InputError, match="samples"):
        linear_response(CELL, WAVEFORM, DT_MS, samples, rest_mV=REST)
