"""A Hodgkin-Huxley axon whose sodium and potassium channels are exchangeable.

Voltages stand at whole steps, gates half a step beside them (Hines and Carnevale 1997, the staggered Crank-Nicolson
method), so that each is advanced with the other in the middle of its step. One tridiagonal solve per step and axon;
unknowns stand in the middle of equal cells with sealed ends, as NEURON places them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit

from understudy.calcium.cable_dynamics import Channel
from understudy.calcium.channel_family import POTASSIUM, SODIUM, ExactGates
from understudy.errors import InputError

SODIUM_MV, POTASSIUM_MV, LEAK_MV = 50.0, -77.0, -54.3
SODIUM_S_PER_CM2, POTASSIUM_S_PER_CM2, LEAK_S_PER_CM2 = 0.12, 0.036, 0.0003
"""Reversal potentials and conductances (Hodgkin and Huxley 1952, as NEURON's ``hh`` and its default ENa and EK)."""

SPIKE_MV = -20.0
"""Upward crossing that counts as the time of a spike (choice: on the steep part of the upstroke)."""


@dataclass(frozen=True)
class Axon:
    """N equal cells of an unmyelinated axon."""

    length_um: float = 2000.0
    diameter_um: float = 2.0
    cells: int = 100
    axial_ohm_cm: float = 35.4
    capacitance_uF_per_cm2: float = 1.0
    rest_mV: float = -65.0

    def __post_init__(self) -> None:
        for name in ("length_um", "diameter_um", "axial_ohm_cm", "capacitance_uF_per_cm2"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name}: found {value:g}, accepted is a positive number")
        if self.cells < 2:
            raise InputError(f"cells: found {self.cells}, accepted are at least 2")

    @property
    def cell_cm2(self) -> float:
        """Membrane of one cell."""
        return math.pi * self.diameter_um * self.length_um / self.cells * 1e-8

    @property
    def axial_S_per_cm2(self) -> float:
        """Conductance between neighbouring cells over the membrane of one."""
        section_cm2 = math.pi * (self.diameter_um * 1e-4) ** 2 / 4
        return section_cm2 / (self.axial_ohm_cm * self.length_um / self.cells * 1e-4) / self.cell_cm2


@dataclass(frozen=True)
class AxonRun:
    """What K axons did: times (T,) in ms, voltages (K, T, N) in mV."""

    time_ms: np.ndarray
    voltage_mV: np.ndarray


@njit(cache=True, error_model="numpy")
def _advance_voltage(v, p_sodium, p_potassium, injected, conductances, reversals, axial, capacity, dt_ms, work):
    """Crank-Nicolson step of the voltages (K, N), in place; ``injected`` (K,) in mA/cm2 enters the first cell."""
    count, n = v.shape
    g_na, g_k, g_leak = conductances
    e_na, e_k, e_leak = reversals
    # uF/cm2 over ms is mS/cm2.
    c = 2e-3 * capacity / dt_ms
    for axon in range(count):
        # Half of the step is solved for the increment d; the whole step is twice as long.
        for i in range(n):
            na, k = g_na * p_sodium[axon, i], g_k * p_potassium[axon, i]
            left = axial if i > 0 else 0.0
            right = axial if i < n - 1 else 0.0
            here = v[axon, i]
            flow = na * (e_na - here) + k * (e_k - here) + g_leak * (e_leak - here)
            if i > 0:
                flow += left * (v[axon, i - 1] - here)
            else:
                flow += injected[axon]
            if i < n - 1:
                flow += right * (v[axon, i + 1] - here)
            diagonal = c + na + k + g_leak + left + right
            if i > 0:
                diagonal -= left * work[i - 1, 0]
                flow += left * work[i - 1, 1]
            work[i, 0] = right / diagonal
            work[i, 1] = flow / diagonal
        d = work[n - 1, 1]
        v[axon, n - 1] += 2 * d
        for i in range(n - 2, -1, -1):
            d = work[i, 1] + work[i, 0] * d
            v[axon, i] += 2 * d


def run_axon(
    axon: Axon,
    injected_nA: np.ndarray,
    duration_ms: float,
    dt_ms: float,
    *,
    sodium: Channel | None = None,
    potassium: Channel | None = None,
) -> AxonRun:
    """Axons of one shape with different currents, from rest.

    Parameters
    ----------
    injected_nA : (K, steps) current into the first cell during each step.
    sodium, potassium : as `understudy.calcium.cable_dynamics.Channel`, of the voltage in mV; None for the exact gates.

    Raises
    ------
    InputError : currents of wrong shape, or a voltage that is not finite, with time and place.
    """
    injected = np.atleast_2d(np.asarray(injected_nA, dtype=float))
    steps = round(duration_ms / dt_ms)
    if injected.shape[1] != steps:
        raise InputError(f"injected_nA: found {injected.shape[1]} steps, accepted are {steps}")
    sodium = ExactGates(SODIUM) if sodium is None else sodium
    potassium = ExactGates(POTASSIUM) if potassium is None else potassium
    v = np.full((len(injected), axon.cells), axon.rest_mV)
    gates = [(channel, np.array(channel.rest(v), dtype=float)) for channel in (sodium, potassium)]
    density = injected * 1e-6 / axon.cell_cm2
    conductances = (SODIUM_S_PER_CM2, POTASSIUM_S_PER_CM2, LEAK_S_PER_CM2)
    reversals = (SODIUM_MV, POTASSIUM_MV, LEAK_MV)
    work = np.empty((axon.cells, 2))
    voltages = np.empty((len(v), steps + 1, axon.cells))
    voltages[:, 0] = v
    for k in range(steps):
        dt_s = (0.5 if k == 0 else 1.0) * dt_ms * 1e-3
        open_na, open_k = (channel.advance(states, v, dt_s) for channel, states in gates)
        _advance_voltage(
            v, open_na, open_k, density[:, k], conductances, reversals, axon.axial_S_per_cm2,
            axon.capacitance_uF_per_cm2, dt_ms, work,
        )  # fmt: skip
        if not np.isfinite(v).all():
            axon_number, cell = np.argwhere(~np.isfinite(v))[0]
            raise InputError(
                f"voltage: found a number that is not finite in axon {axon_number}, cell {cell}, t = "
                f"{(k + 1) * dt_ms:g} ms; likely cause: a step of {dt_ms:g} ms that is too long"
            )
        voltages[:, k + 1] = v
    return AxonRun(np.arange(steps + 1) * dt_ms, voltages)


def spike_times_ms(time_ms: np.ndarray, voltage_mV: np.ndarray) -> np.ndarray:
    """Upward crossings of `SPIKE_MV` in a trace (T,), linear between samples."""
    at = np.flatnonzero((voltage_mV[:-1] < SPIKE_MV) & (voltage_mV[1:] >= SPIKE_MV))
    part = (SPIKE_MV - voltage_mV[at]) / (voltage_mV[at + 1] - voltage_mV[at])
    return time_ms[at] + part * (time_ms[at + 1] - time_ms[at])


def spike_peaks_mV(time_ms: np.ndarray, voltage_mV: np.ndarray) -> np.ndarray:
    """Largest voltage after each spike's upward crossing and before the next one."""
    onsets = np.searchsorted(time_ms, spike_times_ms(time_ms, voltage_mV))
    return np.array([part.max() for part in np.split(voltage_mV, onsets)[1:]])


@dataclass(frozen=True)
class SpikeErrors:
    """Differences of spikes at some cells: counts found and expected, largest errors of time and peak (inf where the
    counts differ)."""

    found: int
    expected: int
    time_ms: float
    peak_mV: float


def spike_errors(found: AxonRun, expected: AxonRun, cells: tuple[int, ...]) -> SpikeErrors:
    """Spikes of all axons of a run at some cells against those of another."""
    counts, time_error, peak_error = [0, 0], 0.0, 0.0
    for k in range(len(found.voltage_mV)):
        for cell in cells:
            traces = [(run.time_ms, run.voltage_mV[k, :, cell]) for run in (found, expected)]
            times, peaks = zip(*((spike_times_ms(*t), spike_peaks_mV(*t)) for t in traces), strict=True)
            counts = [c + len(t) for c, t in zip(counts, times, strict=True)]
            if len(times[0]) != len(times[1]):
                time_error = peak_error = math.inf
            elif len(times[0]):
                time_error = max(time_error, float(np.abs(times[0] - times[1]).max()))
                peak_error = max(peak_error, float(np.abs(peaks[0] - peaks[1]).max()))
    return SpikeErrors(*counts, time_error, peak_error)
