"""Kinetics of the ion channels, and tables of what a time step does to each gate.

Every gate follows dx/dt = (x_inf(v) - x)/tau(v). Over one step at constant v (NEURON's ``cnexp``) this is
x + rate (x_inf - x) with rate = 1 - exp(-dt/tau), so that two numbers per gate and voltage, rate and rate x_inf, are
all that the engine needs. They are tabulated finely and interpolated linearly (`RateTable`).

The equations are those of the Blue Brain channels as the model card lists them (found: mechanisms of ModelDB entry
241165); current = density m^p h (v - E).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from understudy.tms.compartments import CHANNELS

SODIUM_MV, POTASSIUM_MV, IH_MV = 50.0, -85.0, -45.0
"""Reversal potentials (found: the cells' biophysics files)."""

TEMPERATURE_C = 37.0
"""Body temperature, as in the TMS work (found)."""

TABLE_LOW_MV, TABLE_HIGH_MV = -300.0, 160.0
"""Rates are held constant outside, where every gate is saturated."""

TABLE_STEP_MV = 0.0625
"""Linear interpolation at this step shifts thresholds by at most 2e-6 (measured against 1/256 mV on three cell types;
1/4 mV: 2e-5)."""

Kinetics = Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]


def q10(temperature_C: float) -> float:
    """Factor of the rates against 21 C: 2.3 per 10 C."""
    return 2.3 ** ((temperature_C - 21.0) / 10.0)


def _linear_over_exponential(u: np.ndarray, k: float) -> np.ndarray:
    """u/(1 - exp(-u/k)), k at u = 0."""
    x = np.asarray(u, dtype=float) / k
    small = np.abs(x) < 1e-6
    safe = np.where(small, 1.0, x)
    return k * np.where(small, 1.0 + 0.5 * x, safe / -np.expm1(-safe))


def _logistic(u: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-u))


def _sodium_activation(v: np.ndarray, half: float) -> tuple[np.ndarray, np.ndarray]:
    return 0.182 * _linear_over_exponential(v + half, 6.0), 0.124 * _linear_over_exponential(-(v + half), 6.0)


def _from_rates(opening: np.ndarray, closing: np.ndarray, q: float) -> tuple[np.ndarray, np.ndarray]:
    return opening / (opening + closing), 1.0 / ((opening + closing) * q)


def _transient_sodium(m_half: float, h_half: float) -> tuple[Kinetics, Kinetics]:
    def m(v, q):
        return _from_rates(*_sodium_activation(v, m_half), q)

    def h(v, q):
        opening = 0.015 * _linear_over_exponential(-(v + h_half), 6.0)
        return _from_rates(opening, 0.015 * _linear_over_exponential(v + h_half, 6.0), q)

    return m, h


def _persistent_sodium_m(v, q):
    opening, closing = _sodium_activation(v, 38.0)
    return _logistic((v + 52.6) / 4.6), 6.0 / ((opening + closing) * q)


def _persistent_sodium_h(v, q):
    opening = 2.88e-6 * _linear_over_exponential(-(v + 17.0), 4.63)
    closing = 6.94e-6 * _linear_over_exponential(v + 64.4, 2.63)
    return _logistic(-(v + 48.8) / 10.0), 1.0 / ((opening + closing) * q)


def _transient_potassium_m(v, q):
    return _logistic((v + 10.0) / 19.0), (0.34 + 0.92 * np.exp(-(((v + 81.0) / 59.0) ** 2))) / q


def _transient_potassium_h(v, q):
    return _logistic(-(v + 76.0) / 10.0), (8.0 + 49.0 * np.exp(-(((v + 83.0) / 23.0) ** 2))) / q


def _persistent_potassium_m(v, q):
    slow = 1.25 + 175.03 * np.exp(0.026 * (np.minimum(v, -60.0) + 10.0))
    fast = 1.25 + 13.0 * np.exp(-0.026 * (v + 10.0))
    return _logistic((v + 11.0) / 12.0), np.where(v < -60.0, slow, fast) / q


def _persistent_potassium_h(v, q):
    tau = 360.0 + (1010.0 + 24.0 * (v + 65.0)) * np.exp(-(((v + 85.0) / 48.0) ** 2))
    return _logistic(-(v + 64.0) / 11.0), tau / q


def _fast_potassium_m(v, q):
    return _logistic((v - 18.7) / 9.7), 4.0 * _logistic((v + 46.56) / 44.14)


def _hyperpolarisation_m(v, q):
    opening = 0.00643 * _linear_over_exponential(-(v + 154.9), 11.9)
    return _from_rates(opening, 0.193 * np.exp(v / 33.1), 1.0)


def _muscarinic_m(v, q):
    return _from_rates(0.0033 * np.exp(0.1 * (v + 35.0)), 0.0033 * np.exp(-0.1 * (v + 35.0)), q)


@dataclass(frozen=True)
class Channel:
    """One channel: current density = density m^``power`` (h) (v - ``reversal_mV``).

    ``gates`` holds m and, where the channel inactivates, h: functions of (v in mV, temperature factor) that return
    (steady state, time constant in ms).
    """

    name: str
    power: int
    reversal_mV: float
    gates: tuple[Kinetics, ...]


CHANNEL_KINETICS: tuple[Channel, ...] = (
    Channel("NaTa_t", 3, SODIUM_MV, _transient_sodium(38.0, 66.0)),
    Channel("NaTs2_t", 3, SODIUM_MV, _transient_sodium(32.0, 60.0)),
    Channel("Nap_Et2", 3, SODIUM_MV, (_persistent_sodium_m, _persistent_sodium_h)),
    Channel("K_Tst", 4, POTASSIUM_MV, (_transient_potassium_m, _transient_potassium_h)),
    Channel("K_Pst", 2, POTASSIUM_MV, (_persistent_potassium_m, _persistent_potassium_h)),
    Channel("SKv3_1", 1, POTASSIUM_MV, (_fast_potassium_m,)),
    Channel("Ih", 1, IH_MV, (_hyperpolarisation_m,)),
    Channel("Im", 1, POTASSIUM_MV, (_muscarinic_m,)),
)
"""In the order of `understudy.tms.compartments.CHANNELS`, the columns of the density."""

if tuple(channel.name for channel in CHANNEL_KINETICS) != CHANNELS:
    raise AssertionError("the kinetics are not in the order of the density's columns")


def gate_kinetics(
    channel: Channel, v_mV: np.ndarray, temperature_C: float = TEMPERATURE_C
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(steady state, time constant in ms) of each gate of a channel at the voltages."""
    v = np.asarray(v_mV, dtype=float)
    return [gate(v, q10(temperature_C)) for gate in channel.gates]


def steady_gates(channels: tuple[int, ...], v_mV: np.ndarray) -> np.ndarray:
    """(gates, ...) steady states of the gates of these channels, in table order."""
    return np.array([inf for c in channels for inf, _ in gate_kinetics(CHANNEL_KINETICS[c], v_mV)])


def gate_count(channels: tuple[int, ...]) -> int:
    """Number of gates of these channels together."""
    return sum(len(CHANNEL_KINETICS[c].gates) for c in channels)


@dataclass(frozen=True)
class RateTable:
    """Rows at voltages ``low_mV`` + k ``step_mV``; columns rate, rate x_inf of each gate of ``channels`` in turn.

    ``values`` (rows, columns); columns are padded with zeros to a multiple of four, the width that the kernel reads.
    """

    channels: tuple[int, ...]
    low_mV: float
    step_mV: float
    values: np.ndarray


def rate_table(
    channels: tuple[int, ...], dt_ms: float, step_mV: float = TABLE_STEP_MV, temperature_C: float = TEMPERATURE_C
) -> RateTable:
    """Table of what one time step does to the gates of these channels (indices into `CHANNEL_KINETICS`)."""
    rows = round((TABLE_HIGH_MV - TABLE_LOW_MV) / step_mV) + 1
    v = TABLE_LOW_MV + step_mV * np.arange(rows)
    columns = []
    for c in channels:
        for inf, tau in gate_kinetics(CHANNEL_KINETICS[c], v, temperature_C):
            rate = -np.expm1(-dt_ms / tau)
            columns += [rate, rate * inf]
    padding = -len(columns) % 4
    values = np.stack([*columns, *[np.zeros(rows)] * padding], axis=1)
    return RateTable(channels, TABLE_LOW_MV, step_mV, values)
