"""Noisy, sparse observations of a channel: its open probability, or the fluorescence of a dye in a store it empties.

The second is a store with a low-affinity dye (as Mag-fluo-4) whose wall holds the channels, in a bath of clamped
calcium. Its calcium e, relative to that at rest, leaves by open channels and comes back by a pump,

    e' = k_s (1 - e) - k_r P e,    F = e / (e + K),

so that P is seen through a rate, a saturating dye and noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from understudy.calcium.channel_family import ExactChannel
from understudy.calcium.clamp_protocols import Clamps
from understudy.errors import InputError

PROBABILITY, FLUORESCENCE = "open probability", "fluorescence"
KINDS = (PROBABILITY, FLUORESCENCE)


@dataclass(frozen=True)
class Dye:
    """Release and refilling rates of the store, dissociation constant of the dye over the store's calcium at rest.

    The ratio 0.09 is that of Mag-fluo-4, 22 uM (recalled), to the store's 250 uM.
    """

    release_per_s: float = 20.0
    refill_per_s: float = 2.0
    affinity: float = 0.09

    def fluorescence(self, e):
        """F at relative calcium ``e``; 1/(1 + affinity) at rest."""
        return e / (e + self.affinity)

    def calcium(self, fluorescence):
        """Inverse of `fluorescence`, held to 1e-3 to 1.5."""
        f = np.clip(fluorescence, 0.0, 0.999)
        return np.clip(self.affinity * f / (1 - f), 1e-3, 1.5)

    def advance(self, e, p, dt_s):
        """Relative calcium after a step with the open probability held; arrays of numpy or tensors of torch."""
        exp = torch.exp if isinstance(p, torch.Tensor) else np.exp
        total = self.refill_per_s + self.release_per_s * p
        aim = self.refill_per_s / total
        return aim + (e - aim) * exp(-total * dt_s)

    def at_rest(self, p):
        """Relative calcium in equilibrium with a held open probability."""
        return self.refill_per_s / (self.refill_per_s + self.release_per_s * p)


@dataclass(frozen=True)
class Observing:
    """How is observed.

    Attributes
    ----------
    kind : one of `KINDS`.
    noise : standard deviation of the observation.
    share : of the interval ends that are observed at all.
    missing : share of each protocol that is one missing span.
    """

    kind: str = PROBABILITY
    noise: float = 0.05
    share: float = 0.5
    missing: float = 0.25
    dye: Dye = Dye()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"kind: found {self.kind!r}, accepted are {', '.join(KINDS)}")
        if not self.noise > 0:
            raise InputError(f"noise: found {self.noise:g}, accepted is a positive number")
        if not (0 < self.share <= 1 and 0 <= self.missing < 1):
            raise InputError(
                f"share and missing: found {self.share:g} and {self.missing:g}, accepted are 0 < share <= 1 and "
                "0 <= missing < 1"
            )


@dataclass(frozen=True)
class Observations:
    """Protocols whose answers are seen in part.

    Attributes
    ----------
    clamps : the protocols; their truth is for judging only.
    values : (N, T) observations at the ends of intervals, NaN where there is none.
    missing : (N, T) whether an end lies in the missing span.
    """

    observing: Observing
    clamps: Clamps
    values: np.ndarray
    missing: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """(N, T) where there is an observation."""
        return np.isfinite(self.values)


_PIECES = 8


def store_calcium(channel: ExactChannel, clamps: Clamps, dye: Dye) -> np.ndarray:
    """Relative calcium (N, T) of the store at the ends of intervals, the channel exact, eight pieces each."""
    states = channel.stationary(clamps.hold)
    p = channel.observed(states, clamps.hold)[0]
    e, seen = dye.at_rest(p), np.empty(clamps.drive.shape)
    for k in range(clamps.drive.shape[1]):
        x, h = clamps.drive[:, k], clamps.dt_s[:, k] / _PIECES
        for _ in range(_PIECES):
            middle = channel.relaxed(states, x, 0.5 * h)
            e = dye.advance(e, channel.observed(middle, x)[0], h)
            states = channel.relaxed(middle, x, 0.5 * h)
        seen[:, k] = e
    return seen


def observe(channel: ExactChannel, clamps: Clamps, observing: Observing, rng: np.random.Generator) -> Observations:
    """Observations of a channel under protocols."""
    if observing.kind == PROBABILITY:
        clean = clamps.truth[:, 1:, 0]
    else:
        clean = observing.dye.fluorescence(store_calcium(channel, clamps, observing.dye))
    n, intervals = clean.shape
    span = round(observing.missing * intervals)
    first = rng.integers(0, intervals - span + 1, size=n)[:, None]
    columns = np.arange(intervals)
    missing = (columns >= first) & (columns < first + span)
    noisy = clean + observing.noise * rng.standard_normal(clean.shape)
    seen = (rng.random(clean.shape) < observing.share) & ~missing
    return Observations(observing, clamps, np.where(seen, noisy, np.nan), missing)


def expected_observations(observing: Observing, p: torch.Tensor, dt_s: torch.Tensor) -> torch.Tensor:
    """Observations (N, T) without noise of open probabilities (N, T + 1) at the ends of intervals ``dt_s`` (N, T)."""
    if observing.kind == PROBABILITY:
        return p[:, 1:]
    dye = observing.dye
    e, seen = dye.at_rest(p[:, 0]), []
    for k in range(dt_s.shape[1]):
        e = dye.advance(e, 0.5 * (p[:, k] + p[:, k + 1]), dt_s[:, k])
        seen.append(dye.fluorescence(e))
    return torch.stack(seen, dim=1)
