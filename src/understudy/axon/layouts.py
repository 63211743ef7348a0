"""Targets of the axon study: the reference layout, and mean and spread over the common set of gap layouts."""

from __future__ import annotations

import numpy as np

from understudy.axon.axon_mechanics import TARGETS


def target_names() -> list[str]:
    """The four outputs of the reference layout, then their means, then their spreads."""
    return [*TARGETS, *(f"{name}_mean" for name in TARGETS), *(f"{name}_spread" for name in TARGETS)]


def combine_layouts(outputs: np.ndarray) -> np.ndarray:
    """Targets (profile, 12) of outputs (profile, 1 + layouts, 4), reference layout first.

    The spread is the sample standard deviation over the layouts (n - 1 in the denominator).
    """
    layouts = outputs[:, 1:]
    return np.concatenate([outputs[:, 0], layouts.mean(axis=1), layouts.std(axis=1, ddof=1)], axis=1)
