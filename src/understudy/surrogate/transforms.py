"""Targets to and from the space in which models are fitted: a monotone link per target, then standardisation.

Links are monotone, so an interval in link space is an interval in the target's own unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


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
    """Links and the mean and standard deviation of link values over the cases that fitted it; (T,) each."""

    links: tuple[Link, ...]
    mean: np.ndarray
    deviation: np.ndarray

    def forward(self, targets: np.ndarray) -> np.ndarray:
        """Standardised link values (N, T) of targets (N, T)."""
        values = np.stack([link_forward(link, targets[:, t]) for t, link in enumerate(self.links)], axis=1)
        return (values - self.mean) / self.deviation

    def inverse(self, values: np.ndarray) -> np.ndarray:
        """Targets (N, T) of standardised link values (N, T)."""
        values = values * self.deviation + self.mean
        return np.stack([link_inverse(link, values[:, t]) for t, link in enumerate(self.links)], axis=1)


def fit_targets(links: Sequence[Link], targets: np.ndarray) -> TargetTransform:
    """Transform fitted on targets (N, T); a constant target gets the deviation 1."""
    links = tuple(links)
    values = np.stack([link_forward(link, targets[:, t]) for t, link in enumerate(links)], axis=1)
    deviation = values.std(axis=0)
    return TargetTransform(links, values.mean(axis=0), np.where(deviation > 1e-12, deviation, 1.0))
