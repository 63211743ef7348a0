"""Designed ("artificial") channel dynamics with knobs, as targets for networks where no kinetic scheme is given.

The open probability is ``P = y (1 - q)``: a fraction y of the channels that are not inactivated is open,

    y' = (P0 + (Pmax - P0) H(u; K_act, 4) - y) / tau(u),    q' = (H(u; K_in, 2) - q) / tau_in,

H a Hill function of cytosolic calcium u. So P lies between 0 and Pmax and ``P + q <= 1``. The three knobs are Pmax,
which sets how much calcium a wave releases, tau_in, which sets for how long, and K_act, which sets where it starts. The
form is a choice; of the published artificial data no description in numbers could be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.calcium.channel_family import CALCIUM, Driver
from understudy.errors import InputError

ACTIVATION_POWER, INACTIVATION_POWER = 4, 2
INACTIVATION_UM = 0.6
REST_OPEN = 3.25e-4
OPENING_S, CLOSING_S = 5e-4, 4e-3
"""Constants of the design (choice): half-inactivation, time constants of opening and closing; P0 is near that of the
Keizer-Levine receptors at rest, so that the pumps that balance these nearly balance the design."""


@dataclass(frozen=True)
class Knobs:
    """Largest open probability, time constant of inactivation, calcium at half-activation."""

    open_max: float = 0.3
    inactivation_s: float = 0.03
    activation_uM: float = 0.6

    def __post_init__(self) -> None:
        for name, (low, high) in KNOB_RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"{name}: found {value:g}, accepted are {low:g} to {high:g}")

    def coordinates(self) -> np.ndarray:
        """(3,) knobs by their logarithms, -1 to 1 over their ranges."""
        return np.array([
            (2 * np.log(getattr(self, name)) - np.log(low * high)) / np.log(high / low)
            for name, (low, high) in KNOB_RANGES.items()
        ])  # fmt: skip


KNOB_RANGES: dict[str, tuple[float, float]] = {
    "open_max": (0.05, 0.9),
    "inactivation_s": (0.004, 0.2),
    "activation_uM": (0.3, 1.5),
}
"""Range of each knob (choice)."""


def knobs_at(coordinates: np.ndarray) -> Knobs:
    """Inverse of `Knobs.coordinates`, held to the ranges."""
    values = {}
    for z, (name, (low, high)) in zip(np.clip(coordinates, -1, 1), KNOB_RANGES.items(), strict=True):
        values[name] = float(np.clip(np.exp(0.5 * (np.log(low * high) + z * np.log(high / low))), low, high))
    return Knobs(**values)


def hill(u: np.ndarray, half: float, power: int) -> np.ndarray:
    """Hill function, 0.5 at ``half``."""
    x = (np.maximum(u, 0.0) / half) ** power
    return x / (1 + x)


class DesignedChannel:
    """The designed dynamics as an exact channel of the family; its states are y and q.

    Parameters
    ----------
    knobs : one, or several in an array of objects whose shape broadcasts with the driver's.
    """

    name = "designed"
    driver: Driver = CALCIUM
    rest = 0.05
    fast_s = OPENING_S
    slow_s = 0.3

    def __init__(self, knobs: Knobs | np.ndarray = Knobs()):
        self.open_max, self.inactivation_s, self.activation_uM = (
            np.vectorize(lambda own, name=name: getattr(own, name), otypes=[float])(knobs) for name in KNOB_RANGES
        )

    def _aims(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = np.asarray(u, dtype=float)
        active = hill(u, self.activation_uM, ACTIVATION_POWER)
        opened = REST_OPEN + (self.open_max - REST_OPEN) * active
        aim = np.stack([opened, np.broadcast_to(hill(u, INACTIVATION_UM, INACTIVATION_POWER), opened.shape)])
        tau = np.stack([
            CLOSING_S + (OPENING_S - CLOSING_S) * active, np.broadcast_to(self.inactivation_s, opened.shape)
        ])  # fmt: skip
        return aim, tau

    def stationary(self, x: np.ndarray) -> np.ndarray:
        return self._aims(x)[0]

    def relaxed(self, states: np.ndarray, x: np.ndarray, dt_s: np.ndarray) -> np.ndarray:
        aim, tau = self._aims(x)
        return aim + (states - aim) * np.exp(-np.asarray(dt_s) / tau)

    def observed(self, states: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return states[0] * (1 - states[1]), states[1]


def spread_knobs(count: int, rng: np.random.Generator) -> np.ndarray:
    """Knobs (count,) as objects, drawn as a Latin hypercube over the logarithms of their ranges."""
    cells = np.stack([rng.permutation(count) for _ in KNOB_RANGES], axis=1)
    z = 2 * (cells + rng.random(cells.shape)) / count - 1
    found = np.empty(count, dtype=object)
    found[:] = [knobs_at(row) for row in z]
    return found


def knob_values(knobs: np.ndarray) -> np.ndarray:
    """Values (N, 3) of knobs (N,), in the order of `KNOB_RANGES`."""
    return np.array([[getattr(own, name) for name in KNOB_RANGES] for own in knobs])
