"""The threshold engine against the analytic cable and against NEURON."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.tms import neuron_reference
from understudy.tms.cell_model import CableModel, build_compartments
from understudy.tms.compartments import CHANNELS, Compartments
from understudy.tms.field_basis import potential_of, random_fields
from understudy.tms.mechanisms_build import compile_mechanisms
from understudy.tms.pulses import standard_pulses
from understudy.tms.synthesis import CELL_TYPES, synthesise
from understudy.tms.threshold_engine import find_thresholds, resting_state, simulate

DT_MS = 0.005


def passive_cable(count: int, length_um: float, diameter_um: float) -> Compartments:
    """A straight sealed cable along z of 1 uF/cm2, 1e-4 S/cm2 and 100 ohm cm."""
    piece = length_um / count
    z = (np.arange(count) + 0.5) * piece
    full = np.ones(count)
    axial = 100 * np.pi * diameter_um**2 / 4 / (100 * piece) * full
    axial[0] = 0.0
    zeros = np.zeros(count)
    return Compartments(
        "passive", "L5_TTPC", np.arange(-1, count - 1, dtype=np.int32), np.stack([zeros, zeros, z], axis=1),
        np.pi * diameter_um * piece * full, axial, full, 1e-4 * full, -70.0 * full, np.zeros((count, len(CHANNELS))),
        np.zeros(count, dtype=np.int8), np.zeros(count, dtype=np.int32), zeros, z, diameter_um * full,
        np.array([count - 1], dtype=np.int32),
    )  # fmt: skip


def test_polarisation_of_a_sealed_cable():
    # Steady state in a uniform field: v = E lambda sinh(x / lambda) / cosh(L / 2 lambda) about the middle.
    length, diameter, field = 600.0, 2.0, 10.0
    cell = passive_cable(300, length, diameter)
    space_constant = np.sqrt(diameter * 1e-4 / 4 / (1e-4 * 100)) * 1e4
    steps = 20000  # ten time constants of 10 ms at 5 us
    v = simulate(cell, -1e-3 * cell.centre[None, :, 2], np.ones(steps), field, DT_MS)[0, -1] + 70.0
    x = cell.centre[:, 2] - length / 2
    # mV: V/m times um is 1e-3 mV.
    expected = 1e-3 * field * space_constant * np.sinh(x / space_constant) / np.cosh(length / 2 / space_constant)
    # 2 um pieces: second-order error of the order (2 / 700)^2; e^-10 of the transient is left.
    assert np.abs(v - expected).max() < 2e-4 * np.abs(expected).max()


@pytest.mark.parametrize("order", [1, 2])
def test_decay_of_the_slowest_mode(order):
    # The first odd mode of the sealed cable decays as exp(-t (1 + (pi lambda / L)^2) / tau), tau = 10 ms.
    length, diameter = 600.0, 2.0
    cell = passive_cable(60, length, diameter)
    space_constant = np.sqrt(diameter * 1e-4 / 4 / (1e-4 * 100)) * 1e4
    waveform = np.zeros(2000)
    waveform[:1000] = 1.0
    v = simulate(cell, -1e-3 * cell.centre[None, :, 2], waveform, 10.0, DT_MS, order=order)[0, :, -1] + 70.0
    rate = np.log(v[1400] / v[1600]) / (200 * DT_MS)
    expected = (1 + (np.pi * space_constant / length) ** 2) / 10.0
    # 10 um pieces and, at order 1, steps of 5 us against a time constant of 0.7 ms.
    assert rate == pytest.approx(expected, rel=6e-3 if order == 1 else 1e-3)


def random_potentials(model: CableModel, count: int, seed: int, uniform: bool) -> np.ndarray:
    """Quasi-potentials of random fields: uniform, or divergence-free of second order."""
    coefficients = random_fields(count, np.random.default_rng(seed))
    if uniform:
        coefficients = coefficients[:, :3]
    compartments = model.compartments
    return potential_of(compartments.centre, compartments.parent, coefficients)


@pytest.mark.slow
@pytest.mark.parametrize("cell_type", CELL_TYPES)
def test_thresholds_are_those_of_neuron(cell_type, request):
    pytest.importorskip("neuron")
    neuron_reference.load_mechanisms(compile_mechanisms(request.config.cache.mkdir("mechanisms")))
    model = build_compartments(synthesise(cell_type, np.random.default_rng(11), cell_type), cell_type)
    cell = model.compartments
    rest = resting_state(cell)
    has_area = cell.area > 0
    assert np.abs(neuron_reference.steady_state(model) - rest)[has_area].max() < 1e-6
    waveform = standard_pulses()["monophasic"].steps(DT_MS, 1.0)
    for uniform in (True, False):
        potential = random_potentials(model, 32, 12, uniform)
        ours = find_thresholds(cell, potential, waveform, DT_MS, rest_mV=rest)
        theirs = neuron_reference.find_thresholds(model, potential, waveform, DT_MS)
        assert (ours.found == theirs.found).all() and ours.found.mean() > 0.9
        # Same equations, steps and searches: all that remains is the rate table (2e-6) within the bisection's 1e-4.
        error = np.abs(ours.threshold / theirs.threshold - 1)[ours.found]
        print(f"{cell_type} {'uniform' if uniform else 'second order'}: largest difference {error.max():.1e}")
        assert error.max() < 1.1e-4
        found = np.flatnonzero(ours.found)[:4]
        for case in found:
            # Just below the threshold a neighbour may be first; one per cent above, place and time are the same.
            above = 1.01 * theirs.threshold[case]
            v = simulate(cell, potential[case : case + 1], waveform, above, DT_MS, rest_mV=rest)[0, :, has_area].T
            peer = neuron_reference.simulate(model, potential[case], waveform, above, DT_MS)[:, has_area]
            assert np.abs(v - peer).max() < 0.05  # mV on a spike whose slope is some 1e3 mV/ms
