"""The Hodgkin-Huxley axon: against NEURON's ``hh``, its order in time, and with networks in place of its channels."""

import os

import numpy as np
import pytest

from understudy.calcium.channel_study import FamilySettings, axon_runs, errors_of_spikes, fit_member, stimulated_axons
from understudy.calcium.hodgkin_huxley_cable import (
    Axon,
    run_axon,
    spike_errors,
    spike_peaks_mV,
    spike_times_ms,
)
from understudy.errors import InputError

SHORT_MS = 6.0
CELLS = (10, 50, 90)


def pulse(dt_ms: float, amplitude_nA: float = 1.0) -> np.ndarray:
    time_ms = (np.arange(round(SHORT_MS / dt_ms)) + 0.5) * dt_ms
    return np.where((time_ms >= 1) & (time_ms < 2), amplitude_nA, 0.0)[None]


def spikes(run) -> np.ndarray:
    """Times and peaks (cells, 2) of the only spike at each cell."""
    traces = [run.voltage_mV[0, :, cell] for cell in CELLS]
    return np.array([[spike_times_ms(run.time_ms, v)[0], spike_peaks_mV(run.time_ms, v)[0]] for v in traces])


@pytest.fixture(scope="module")
def peer() -> np.ndarray:
    """NEURON with its variable step at a tight tolerance."""
    os.environ.setdefault("NEURON_MODULE_OPTIONS", "-nogui")
    from neuron import h

    h.load_file("stdrun.hoc")
    axon = Axon()
    section = h.Section(name="axon")
    section.L, section.diam, section.nseg, section.Ra = axon.length_um, axon.diameter_um, axon.cells, axon.axial_ohm_cm
    section.insert("hh")
    h.usetable_hh = 0
    clamp = h.IClamp(section(0.5 / axon.cells))
    clamp.delay, clamp.dur, clamp.amp = 1, 1, 1.0
    records = [h.Vector().record(section((cell + 0.5) / axon.cells)._ref_v) for cell in CELLS]
    time = h.Vector().record(h._ref_t)
    h.celsius = 6.3
    solver = h.CVode()
    solver.active(1)
    solver.atol(1e-7)
    h.finitialize(axon.rest_mV)
    h.continuerun(SHORT_MS)
    solver.active(0)
    t = np.array(time)
    return np.array([[spike_times_ms(t, np.array(v))[0], spike_peaks_mV(t, np.array(v))[0]] for v in records])


def test_spikes_are_those_of_neuron(peer):
    """Within 0.3 us and 0.01 mV at steps of 5 us: the second-order error (measured at most 0.14 us, 0.002 mV)."""
    found = spikes(run_axon(Axon(), pulse(0.005), SHORT_MS, 0.005))
    np.testing.assert_allclose(found[:, 0], peer[:, 0], atol=3e-4)
    np.testing.assert_allclose(found[:, 1], peer[:, 1], atol=1e-2)


def test_order_in_time():
    """Error of the spike's time at the last cell falls fourfold with half the step (second order; 3.4 to 4.8)."""
    times = [spikes(run_axon(Axon(), pulse(dt), SHORT_MS, dt))[-1, 0] for dt in (0.04, 0.02, 0.01)]
    assert (times[0] - times[1]) / (times[1] - times[2]) == pytest.approx(4.0, abs=0.8)


def test_comparison_can_fail():
    one, two = (run_axon(Axon(), pulse(0.01, amplitude), SHORT_MS, 0.01) for amplitude in (1.0, 0.8))
    assert spike_errors(one, two, CELLS).time_ms > 0.05
    silent = run_axon(Axon(), 0 * pulse(0.01), SHORT_MS, 0.01)
    assert spike_errors(one, silent, CELLS).time_ms == np.inf
    assert np.abs(silent.voltage_mV + 65).max() < 0.1


def test_refusals():
    with pytest.raises(InputError, match=r"diameter_um: found -1"):
        Axon(diameter_um=-1.0)
    with pytest.raises(InputError, match=r"injected_nA: found 5 steps, accepted are 600"):
        run_axon(Axon(), np.zeros((1, 5)), SHORT_MS, 0.01)


def test_protocol_makes_five_spikes():
    run = stimulated_axons(dt_ms=0.02)
    counts = [len(spike_times_ms(run.time_ms, v[:, 50])) for v in run.voltage_mV]
    assert counts == [1, 2, 2]


@pytest.mark.slow
def test_networks_replace_the_channels():
    """Spike times within 0.05 ms and peaks within 1 mV, with one of them and with both."""
    networks = [fit_member(name, FamilySettings()).fitted.network for name in ("sodium", "potassium")]
    for found in errors_of_spikes(axon_runs(*networks)).values():
        assert found.found == found.expected == 15
        assert found.time_ms < 0.05
        assert found.peak_mV < 1.0
