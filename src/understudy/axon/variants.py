"""Variants of the axon: the other sex's and the other tau criterion's, on the same part of the profiles."""

from __future__ import annotations

import numpy as np

from understudy.axon.config import Comparison, Injury

VARIANTS = ("other_sex", "other_criterion")

_OTHER = {"male": "female", "female": "male", "elongation": "bell", "bell": "elongation"}


def variant_injury(injury: Injury, variant: str) -> Injury:
    """The parameters of a variant of the study's axon."""
    key = {"other_sex": "sex", "other_criterion": "tau_criterion"}[variant]
    return injury.model_copy(update={key: _OTHER[getattr(injury, key)]})


def variant_rows(split: np.ndarray, subset: np.ndarray, comparison: Comparison) -> np.ndarray:
    """Ascending sample rows of a variant: evenly out of each split, and all of the other held-out sets.

    Parameters
    ----------
    split, subset : (N,) of the samples.
    comparison : how many; all where there are fewer.
    """
    chosen = [np.flatnonzero((split == "heldout") & (subset != "random"))]
    for name, count in (
        ("training", comparison.training_profiles),
        ("calibration", comparison.calibration_profiles),
        ("heldout", comparison.heldout_profiles),
    ):
        rows = np.flatnonzero((split == name) & ((subset == "random") | (name != "heldout")))
        chosen.append(rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)])
    return np.unique(np.concatenate(chosen))
