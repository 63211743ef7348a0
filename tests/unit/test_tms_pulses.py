"""Pulses: the recorded figures come back, integrals survive any step, bad files are refused with their reason."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms.pulses import (
    COARSEST_STEP_MS,
    Pulse,
    controllable_pulses,
    damped_cosine,
    read_pulse,
    standard_pulses,
)

PULSES = {**standard_pulses(), **controllable_pulses()}


def test_the_study_has_its_six_pulses():
    names = {"monophasic", "biphasic", "half_sine", "rectangular_30us", "rectangular_60us", "rectangular_120us"}
    assert set(standard_pulses()) == names


@pytest.mark.parametrize("name", PULSES)
def test_peak_is_one_and_ends_are_zero(name):
    pulse = PULSES[name]
    assert np.abs(pulse.value).max() == 1.0
    assert pulse.value[0] == 0.0 and abs(pulse.value[-1]) < 1e-12
    assert (pulse.at(np.array([-0.001, pulse.duration_ms + 0.001])) == 0).all()


@pytest.mark.parametrize("name", PULSES)
@pytest.mark.parametrize("dt_ms", [0.001, 0.0025, 0.005, 0.01])
def test_steps_keep_the_integral(name, dt_ms):
    pulse = PULSES[name]
    steps = pulse.steps(dt_ms, 2.0)
    assert len(steps) == round(2.0 / dt_ms)
    # The sum of exact means is the exact integral: only rounding is left.
    assert steps.sum() * dt_ms == pytest.approx(pulse.integral(pulse.duration_ms), abs=1e-14)
    assert np.abs(steps).max() <= 1 + 1e-12


def test_steps_start_after_the_delay():
    pulse = PULSES["rectangular_30us"]
    assert np.flatnonzero(pulse.steps(0.005, 0.1))[0] == 1
    assert np.flatnonzero(pulse.steps(0.005, 0.1, delay_ms=0.02))[0] == 4


def test_integral_agrees_with_quadrature():
    pulse = PULSES["biphasic"]
    time = np.linspace(0, 0.2, 200_001)
    value = pulse.at(time)
    quadrature = np.sum(0.5 * (value[1:] + value[:-1])) * (time[1] - time[0])
    # The trapezoid rule misses the samples that are not on its own grid by far less than this.
    assert pulse.integral(0.2) == pytest.approx(quadrature, abs=1e-8)


def test_recorded_figures_of_the_monophasic_pulse():
    pulse = PULSES["monophasic"]
    assert pulse.time_ms[np.argmax(pulse.value)] == pytest.approx(0.0042)
    assert pulse.at(np.array([0.0756])) == pytest.approx(0, abs=1e-12)
    assert pulse.value.min() == pytest.approx(-0.301)
    assert pulse.time_ms[np.argmin(pulse.value)] == pytest.approx(0.1046)
    assert pulse.integral(pulse.duration_ms) == pytest.approx(0, abs=1e-15)


def test_recorded_figures_of_the_biphasic_pulse():
    pulse = PULSES["biphasic"]
    assert pulse.value.min() == pytest.approx(-0.895)
    assert pulse.time_ms[np.argmin(pulse.value)] == pytest.approx(0.1494)
    assert pulse.at(np.array([0.0758, 0.228])) == pytest.approx(0, abs=1e-12)
    # The recording's half cycle is 155 us by its own zero of the current; the table gives 154.
    half = PULSES["half_sine"]
    assert half.duration_ms == pytest.approx(0.155, abs=0.003)
    assert half.integral(half.duration_ms) == pytest.approx(0, abs=1e-5)


def test_controllable_pulses_close_their_integral_and_have_their_negative_peaks():
    for pulse, negative in zip(controllable_pulses().values(), (0.345, 0.601, 0.941), strict=True):
        assert pulse.integral(pulse.duration_ms) == pytest.approx(0, abs=1e-15)
        assert pulse.value.min() == pytest.approx(-negative, rel=0.01)


def test_damped_cosine_is_near_the_recording():
    model = damped_cosine(305, 1400)
    time = np.linspace(0.01, 0.3, 100)
    # A smooth stand-in: a quarter of the peak at most, where the recording's zeros lie some us elsewhere.
    assert np.abs(model.at(time) - PULSES["biphasic"].at(time)).max() < 0.25


def test_reversed_pulse():
    pulse = PULSES["monophasic"].reversed()
    assert (pulse.value == -PULSES["monophasic"].value).all()


def test_steps_too_coarse():
    with pytest.raises(InputError, match=r"dt_ms: found 0\.02, accepted"):
        PULSES["monophasic"].steps(0.02, 1.0)


@pytest.mark.parametrize(
    ("value", "message"),
    [([0, np.nan, 0], "nan at sample 1"), ([0, 0, 0], "zeros alone"), ([0, 1], "accepted are two")],
)
def test_broken_pulses(value, message):
    with pytest.raises(InputError, match=message):
        Pulse("x", np.array([0.0, 0.1, 0.2]), np.array(value, dtype=float))


def write(path, time, value, header="time_us,value"):
    path.write_text(header + "\n" + "".join(f"{a:.9g},{b:.9g}\n" for a, b in zip(time, value, strict=True)))
    return path


@pytest.mark.parametrize(
    ("header", "factor"), [("time_us,value", 1e3), ("time_ms,field_V_per_m", 1), ("time_s,voltage_V", 1e-3)]
)
def test_a_file_gives_its_pulse_back(tmp_path, header, factor):
    pulse = PULSES["biphasic"]
    read = read_pulse(write(tmp_path / "p.csv", pulse.time_ms * factor + 7 * factor, 31 * pulse.value, header))
    assert read.name == "p"
    np.testing.assert_allclose(read.at(pulse.time_ms), pulse.value, atol=2e-4)


def test_bad_files(tmp_path):
    time = np.arange(0, 200, 2.0)
    good = np.sin(time / 30)
    path = tmp_path / "p.csv"
    bad = good.copy()
    bad[5] = np.nan
    with pytest.raises(InputError, match=r"column value, row 7: found 'nan'"):
        read_pulse(write(path, time, bad))
    with pytest.raises(InputError, match="too coarse: found a step of 20 us"):
        read_pulse(write(path, 10 * time, good))
    with pytest.raises(InputError, match="is the unit in the column's name right"):
        read_pulse(write(path, time, good, "time_ms,value"))
    with pytest.raises(InputError, match="found the columns t, value"):
        read_pulse(write(path, time, good, "t,value"))
    with pytest.raises(InputError, match="row 3: time does not increase"):
        read_pulse(write(path, np.minimum(time, 0.0) + 0 * time, good))
    with pytest.raises(InputError, match="found 3 samples"):
        read_pulse(write(path, time[:3], good[:3]))
    with pytest.raises(InputError, match="cannot be read"):
        read_pulse(tmp_path / "none.csv")
    with pytest.raises(InputError, match="zeros alone"):
        read_pulse(write(path, time, 0 * good))


def test_a_sparse_tail_is_accepted(tmp_path):
    time = np.concatenate([np.arange(0, 100, 1.0), [300, 600]])
    value = np.concatenate([np.sin(np.arange(0, 100, 1.0) / 31.5), [0.0, 0.0]])
    assert read_pulse(write(tmp_path / "p.csv", time, value)).duration_ms == pytest.approx(0.6)
    assert COARSEST_STEP_MS == 0.01
