"""Five channels behind one interface: exact kinetics at a constant voltage or calcium concentration.

Each channel is written as two things that can be seen from outside, the open probability P and the inactivated fraction
q with ``P + q <= 1``; what lies behind them (gates, Markov states) is its own affair. Times are in s, voltages in mV,
concentrations in uM.

Sources: sodium and potassium of the squid axon, Hodgkin and Huxley (1952) at 6.3 C with rest at -65 mV, as NEURON's
``hh`` writes them (found: hh.mod of neuronsimulator/nrn); high-voltage-activated calcium channel, Reuveni et al. (1993)
(found: Ca_HVA.mod there); IP3 receptor, De Young and Keizer (1992) with the slow gate of Li and Rinzel (1994), whose
stationary open probability is that of `understudy.calcium.parameters.ip3_open_probability`; ryanodine receptor, Keizer
and Levine (1996).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from understudy.calcium.parameters import IP3_DISSOCIATION_UM, Parameters, stationary_ryanodine
from understudy.errors import InputError

IP3_INACTIVATION_PER_UM_S = 0.2
"""Binding of the second, inactivating calcium (recalled: De Young and Keizer 1992, a2)."""

FAMILY_IP3_UM = 0.5
"""IP3 at which the IP3 receptor is studied (choice: half-way up its activation)."""

PER_MS = 1e3


@dataclass(frozen=True)
class Driver:
    """What a channel responds to: its name with unit, the range that is studied, and whether it acts by its log."""

    name: str
    low: float
    high: float
    logarithmic: bool

    def scaled(self, x: np.ndarray) -> np.ndarray:
        """The driver mapped so that its range is -1 to 1."""
        if self.logarithmic:
            low, high, x = np.log(self.low), np.log(self.high), np.log(np.maximum(x, 1e-6))
        else:
            low, high = self.low, self.high
        return (2 * np.asarray(x, dtype=float) - (low + high)) / (high - low)

    def unscaled(self, z: np.ndarray) -> np.ndarray:
        """Inverse of `scaled`."""
        low, high = (np.log(self.low), np.log(self.high)) if self.logarithmic else (self.low, self.high)
        x = 0.5 * (low + high + (high - low) * np.asarray(z, dtype=float))
        return np.exp(x) if self.logarithmic else x


VOLTAGE = Driver("voltage_mV", -120.0, 80.0, False)
CALCIUM = Driver("calcium_uM", 0.02, 60.0, True)


class ExactChannel(Protocol):
    """Kinetics that are solved exactly while the driver is constant.

    Attributes
    ----------
    name : of the channel.
    driver : what it responds to.
    rest : the driver at rest.
    fast_s, slow_s : its shortest and longest time constant of interest, from which protocols take their durations.
    """

    name: str
    driver: Driver
    rest: float
    fast_s: float
    slow_s: float

    def stationary(self, x: np.ndarray) -> np.ndarray:
        """States (n, ...) in equilibrium with the driver ``x`` (...)."""

    def relaxed(self, states: np.ndarray, x: np.ndarray, dt_s: np.ndarray) -> np.ndarray:
        """States (n, ...) after times ``dt_s`` (...) at constant drivers ``x`` (...), exactly."""

    def observed(self, states: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Open probability and inactivated fraction (...)."""


@dataclass(frozen=True)
class GatedChannel:
    """Independent first-order gates; ``P = product of gate**power``, ``q = 1 - the last gate`` where it inactivates.

    ``rates`` gives opening and closing rates per s, each (gates, ...).
    """

    name: str
    rates: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    powers: tuple[int, ...]
    inactivates: bool
    fast_s: float
    slow_s: float
    driver: Driver = VOLTAGE
    rest: float = -65.0

    def stationary(self, x: np.ndarray) -> np.ndarray:
        a, b = self.rates(np.asarray(x, dtype=float))
        return a / (a + b)

    def relaxed(self, states: np.ndarray, x: np.ndarray, dt_s: np.ndarray) -> np.ndarray:
        a, b = self.rates(np.asarray(x, dtype=float))
        aim = a / (a + b)
        return aim + (states - aim) * np.exp(-(a + b) * dt_s)

    def observed(self, states: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = np.prod([gate**power for gate, power in zip(states, self.powers, strict=True)], axis=0)
        return p, 1 - states[-1] if self.inactivates else np.zeros_like(p)


def _linear_over_exponential(x: np.ndarray, k: float) -> np.ndarray:
    """``x / (exp(x/k) - 1)``, k at 0."""
    small = np.abs(x / k) < 1e-6
    y = np.where(small, k, x)
    return np.where(small, k - 0.5 * x, y / np.expm1(y / k))


def sodium_rates(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates per s of m and h."""
    opening = np.stack([0.1 * _linear_over_exponential(-(v + 40), 10.0), 0.07 * np.exp(-(v + 65) / 20)])
    closing = np.stack([4 * np.exp(-(v + 65) / 18), 1 / (np.exp(-(v + 35) / 10) + 1)])
    return PER_MS * opening, PER_MS * closing


def potassium_rates(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates per s of n."""
    opening = 0.01 * _linear_over_exponential(-(v + 55), 10.0)
    return PER_MS * opening[None], PER_MS * 0.125 * np.exp(-(v + 65) / 80)[None]


def calcium_hva_rates(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates per s of m and h."""
    opening = np.stack([0.055 * _linear_over_exponential(-(v + 27), 3.8), 0.000457 * np.exp(-(v + 13) / 50)])
    closing = np.stack([0.94 * np.exp(-(v + 75) / 17), 0.0065 / (np.exp(-(v + 15) / 28) + 1)])
    return PER_MS * opening, PER_MS * closing


@dataclass(frozen=True)
class Ip3Receptor:
    """De Young-Keizer receptor, IP3 and activating calcium in equilibrium, inactivation by the gate h of Li and Rinzel.

    ``P = (m n h)**3`` with ``m = p/(p + d1)``, ``n = u/(u + d5)``, ``h' = a2 (Q (1 - h) - u h)``,
    ``Q = d2 (p + d1)/(p + d3)``.
    """

    ip3_uM: float = FAMILY_IP3_UM
    name: str = "ip3_receptor"
    driver: Driver = CALCIUM
    rest: float = 0.05
    fast_s: float = 2e-2
    slow_s: float = 10.0

    def _rates(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        d1, d2, d3, _ = IP3_DISSOCIATION_UM
        recovery = d2 * (self.ip3_uM + d1) / (self.ip3_uM + d3)
        return IP3_INACTIVATION_PER_UM_S * recovery * np.ones_like(u), IP3_INACTIVATION_PER_UM_S * u

    def stationary(self, x: np.ndarray) -> np.ndarray:
        a, b = self._rates(np.asarray(x, dtype=float))
        return (a / (a + b))[None]

    def relaxed(self, states: np.ndarray, x: np.ndarray, dt_s: np.ndarray) -> np.ndarray:
        a, b = self._rates(np.asarray(x, dtype=float))
        aim = a / (a + b)
        return aim + (states - aim) * np.exp(-(a + b) * dt_s)

    def observed(self, states: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        d1, _, _, d5 = IP3_DISSOCIATION_UM
        return (self.ip3_uM / (self.ip3_uM + d1) * x / (x + d5) * states[0]) ** 3, 1 - states[0]


@dataclass(frozen=True)
class RyanodineReceptor:
    """Keizer-Levine receptor: states o1, o2, c1, c2; o1 exchanges with each of the other three."""

    parameters: Parameters = field(default_factory=Parameters)
    name: str = "ryanodine_receptor"
    driver: Driver = CALCIUM
    rest: float = 0.05
    fast_s: float = 1e-3
    slow_s: float = 10.0

    def stationary(self, x: np.ndarray) -> np.ndarray:
        return np.stack(stationary_ryanodine(self.parameters, np.asarray(x, dtype=float)))

    def relaxed(self, states: np.ndarray, x: np.ndarray, dt_s: np.ndarray) -> np.ndarray:
        # Detailed balance makes the generator symmetric in the variables state / sqrt(stationary state).
        own, x = self.parameters, np.asarray(x, dtype=float)
        root = np.sqrt(np.moveaxis(self.stationary(x), 0, -1))
        into = np.stack([own.second_opening_per_uM3_s * x**3, np.full_like(x, own.closing_per_s)])
        into = np.concatenate([into, np.full_like(x, own.inactivation_per_s)[None]])
        back = np.stack([
            np.full_like(x, own.second_closing_per_s), own.opening_per_uM4_s * x**4, np.full_like(x, own.recovery_per_s)
        ])  # fmt: skip
        matrix = np.zeros((*x.shape, 4, 4))
        matrix[..., 0, 0] = -into.sum(axis=0)
        for k in range(3):
            matrix[..., k + 1, k + 1] = -back[k]
            matrix[..., 0, k + 1] = matrix[..., k + 1, 0] = np.sqrt(into[k] * back[k])
        values, vectors = np.linalg.eigh(matrix)
        y = np.einsum("...ij,...i->...j", vectors, np.moveaxis(states, 0, -1) / root)
        y = y * np.exp(np.minimum(values, 0.0) * np.asarray(dt_s)[..., None])
        after = np.maximum(np.einsum("...ij,...j->...i", vectors, y) * root, 0.0)
        return np.moveaxis(after / after.sum(axis=-1, keepdims=True), -1, 0)

    def observed(self, states: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return states[0] + states[1], states[3]


class ExactGates:
    """An exact channel as cables take it (`understudy.calcium.cable_dynamics.Channel`), exact for a frozen driver."""

    def __init__(self, channel: ExactChannel):
        self.channel = channel
        self.n_states = len(channel.stationary(np.array([channel.rest])))

    def rest(self, u: np.ndarray) -> np.ndarray:
        return self.channel.stationary(u)

    def advance(self, states: np.ndarray, u: np.ndarray, dt_s: float) -> np.ndarray:
        states[:] = self.channel.relaxed(states, u, np.full(np.shape(u), dt_s))
        return self.channel.observed(states, u)[0]


SODIUM = GatedChannel("sodium", sodium_rates, (3, 1), True, 5e-5, 1e-2)
POTASSIUM = GatedChannel("potassium", potassium_rates, (4,), False, 1e-3, 1e-2)
CALCIUM_HVA = GatedChannel("calcium_hva", calcium_hva_rates, (2, 1), True, 5e-4, 0.3)

FAMILY: dict[str, ExactChannel] = {
    channel.name: channel for channel in (SODIUM, POTASSIUM, CALCIUM_HVA, Ip3Receptor(), RyanodineReceptor())
}
"""Channels by name."""


def family_channel(name: str) -> ExactChannel:
    """A channel of the family by name.

    Raises
    ------
    InputError : no such channel.
    """
    if name not in FAMILY:
        raise InputError(f"channel: found {name!r}, accepted are {', '.join(FAMILY)}")
    return FAMILY[name]


def space_clamp(channel: ExactChannel, hold: np.ndarray, drive: np.ndarray, dt_s: np.ndarray) -> np.ndarray:
    """Exact solution under drivers that are constant within each interval.

    Parameters
    ----------
    hold : (N,) drivers before, with which the channels begin in equilibrium.
    drive, dt_s : (N, T) driver and length of each interval.

    Returns
    -------
    (N, T + 1, 2) open probability and inactivated fraction at the beginning and at the end of each interval; the
    first is seen at the holding driver.
    """
    states = channel.stationary(hold)
    seen = np.empty((len(hold), drive.shape[1] + 1, 2))
    seen[:, 0] = np.stack(channel.observed(states, np.asarray(hold, dtype=float)), axis=-1)
    for k in range(drive.shape[1]):
        states = channel.relaxed(states, drive[:, k], dt_s[:, k])
        seen[:, k + 1] = np.stack(channel.observed(states, drive[:, k]), axis=-1)
    return seen
