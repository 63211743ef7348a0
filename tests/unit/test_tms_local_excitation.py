"""A lone node under a course of polarisation: what its critical polarisation must and must not depend on."""

import numpy as np

from understudy.tms.local_excitation import PRECISION_MV, critical_polarisation
from understudy.tms.terminal_features import SAMPLE_MS

TIME = np.array(SAMPLE_MS)


def charged(width_ms: float, tau_ms: float = 0.05) -> np.ndarray:
    """A membrane of one time constant under a rectangle."""
    on = 1 - np.exp(-np.minimum(TIME, width_ms) / tau_ms)
    return on * np.exp(-np.maximum(TIME - width_ms, 0) / tau_ms)


def critical(*courses: np.ndarray, rest=-75.0, capacitance=2.6e-4, resistance=180.0) -> np.ndarray:
    course = np.array(courses)[None]
    node = (np.full(course.shape[:2], value) for value in (rest, capacitance, resistance))
    return critical_polarisation(course, SAMPLE_MS, *node)[0]


def test_amplitude_does_not_matter():
    once, thrice = critical(charged(0.1)), critical(3e-2 * charged(0.1))
    np.testing.assert_allclose(thrice, once, atol=2 * PRECISION_MV)


def test_shorter_pulses_need_higher_peaks():
    found = critical(charged(0.03), charged(0.06), charged(0.12))
    assert (np.diff(found) < 0).all()
    assert 25 < found[2] < found[0] < 70


def test_hyperpolarisation_before_the_peak_helps_little_and_after_it_hurts():
    after = charged(0.06) - 0.5 * np.where(TIME > 0.1, charged(0.3), 0)
    plain, hurt = critical(charged(0.06), after)
    assert hurt > plain


def test_neighbours_do_not_change_the_result():
    courses = [charged(width) for width in (0.03, 0.12, 0.05, 0.2)]
    together = critical(*courses)
    alone = np.concatenate([critical(course) for course in courses])
    np.testing.assert_array_equal(together, alone)


def test_no_depolarisation_no_critical_polarisation():
    assert critical(-charged(0.1), np.zeros_like(TIME)).tolist() == [0, 0]


def test_a_heavier_load_or_a_lower_rest_needs_more():
    base = critical(charged(0.1))
    assert critical(charged(0.1), capacitance=5e-4) > base
    assert critical(charged(0.1), rest=-80.0) > base
