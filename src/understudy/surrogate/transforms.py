"""Targets to and from the space in which models are fitted: a monotone link per target, then standardisation.

Links are monotone, so an interval in link space is an interval in the target's own unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BEYOND = 0.1
"""How far beyond the range of its training cases a prediction may go, as a share of that range."""


class Link(NamedTuple):
    """A monotone function of one target.

    kind : ``identity``; ``logit``, log((p + a)/(1 - p + a)) for fractions in 0-1, where a > 0 keeps 0 and 1 finite;
        ``asinh``, asinh(y/a), linear below the scale a and logarithmic above.
    parameter : a, in the unit of the target.
    clip : (lowest, highest) possible value of the target.
    """

    kind: str
    parameter: float = 1.0
    clip: tuple[float, float] = (-np.inf, np.inf)


def link_forward(link: Link, values: np.ndarray) -> np.ndarray:
    """Link values of target values (N,)."""
    a = link.parameter
    if link.kind == "identity":
        return values
    if link.kind == "logit":
        return np.log((values + a) / (1 - values + a))
    if link.kind == "asinh":
        return np.arcsinh(values / a)
    raise ValueError(f"found link {link.kind!r}; accepted are identity, logit, asinh")


def link_inverse(link: Link, values: np.ndarray) -> np.ndarray:
    """Target values of link values (N,), clipped to what is possible."""
    a = link.parameter
    if link.kind == "identity":
        result = values
    elif link.kind == "logit":
        result = (1 + 2 * a) * 0.5 * (1 + np.tanh(0.5 * values)) - a
    elif link.kind == "asinh":
        # sinh of a wild extrapolation must stay a number.
        result = a * np.sinh(np.clip(values, -50, 50))
    else:
        raise ValueError(f"found link {link.kind!r}; accepted are identity, logit, asinh")
    return np.clip(result, *link.clip)


@dataclass(frozen=True)
class TargetTransform:
    """Links, and what the cases that fitted it say of their values; (T,) each.

    Attributes
    ----------
    mean, deviation : of the link values.
    lowest, highest : of the standardised link values.
    """

    links: tuple[Link, ...]
    mean: np.ndarray
    deviation: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray

    def forward(self, targets: np.ndarray) -> np.ndarray:
        """Standardised link values (N, T) of targets (N, T)."""
        values = np.stack([link_forward(link, targets[:, t]) for t, link in enumerate(self.links)], axis=1)
        return (values - self.mean) / self.deviation

    def bounded(self, values: np.ndarray) -> np.ndarray:
        """Standardised link values (..., T) held to the fitted range and `BEYOND` of it on either side.

        A network extrapolates without limit, and a link's inverse turns a little too much into far too much: a single
        such case would decide the error of a whole set.
        """
        margin = BEYOND * (self.highest - self.lowest)
        return np.clip(values, self.lowest - margin, self.highest + margin)

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Targets (N, T) of standardised link values (N, T)."""
        values = values * self.deviation + self.mean
        return np.stack([link_inverse(link, values[:, t]) for t, link in enumerate(self.links)], axis=1)


def fit_targets(links: Sequence[Link], targets: np.ndarray) -> TargetTransform:
    """Transform fitted on targets (N, T); a constant target gets the deviation 1."""
    links = tuple(links)
    values = np.stack([link_forward(link, targets[:, t]) for t, link in enumerate(links)], axis=1)
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    deviation = np.where(deviation > 1e-12, deviation, 1.0)
    standard = (values - mean) / deviation
    return TargetTransform(links, mean, deviation, standard.min(axis=0), standard.max(axis=0))
