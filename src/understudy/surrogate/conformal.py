"""Split-conformal intervals, normalised by a scale that follows the expected error of each case.

For a calibration case i and one target, the score is |z_i - m_i| / s_i with truth z, ensemble mean m (standardised
link values) and scale s. The interval of a new case is m +- q s, q the ceil((n + 1) coverage)-th smallest score
(Vovk et al. 2005; Lei et al. 2018, JASA 113:1094). It covers with at least the nominal probability when a new case
is exchangeable with the calibration cases. Cases of one group are alike, so what is exchangeable are groups: with few
calibration groups the coverage on a new group scatters widely around the nominal value, more than n cases suggest.

The scale comes from a ridge regression of log|z - m| on the ensemble spread, the mean and its square, and the
novelty, fitted on the early-stopping cases, which neither the weights nor the calibration have used. A bad scale
costs width, not coverage.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

_FLOOR = 1e-3
_RIDGE = 10.0
_RANGE = 1.5
_LEAST_CASES = 30


@dataclass(frozen=True)
class ScaleModel:
    """Per target: centre (T, F) and width (T, F) of the features, coefficients (T, F + 1), intercept first."""

    centre: np.ndarray
    width: np.ndarray
    coefficients: np.ndarray


def _features(mean: np.ndarray, spread: np.ndarray, novelty: np.ndarray) -> np.ndarray:
    """(N, T, F) features of the scale."""
    log_novelty = np.broadcast_to(np.log(novelty + _FLOOR)[:, None], mean.shape)
    return np.stack([np.log(spread + _FLOOR), mean, mean**2, log_novelty], axis=2)


def fit_scale(residual: np.ndarray, mean: np.ndarray, spread: np.ndarray, novelty: np.ndarray) -> ScaleModel:
    """Scale model from residuals, ensemble mean and spread (N, T) and novelty (N,); constant below 30 cases."""
    features = _features(mean, spread, novelty)
    n, targets, f = features.shape
    centre, width = features.mean(axis=0), features.std(axis=0)
    width = np.where(width > 1e-9, width, 1.0)
    coefficients = np.zeros((targets, f + 1))
    logs = np.log(np.abs(residual) + _FLOOR)
    coefficients[:, 0] = logs.mean(axis=0)
    if n >= _LEAST_CASES:
        for t in range(targets):
            x = (features[:, t] - centre[t]) / width[t]
            normal = x.T @ x + _RIDGE * np.eye(f)
            coefficients[t, 1:] = np.linalg.solve(normal, x.T @ (logs[:, t] - coefficients[t, 0]))
    return ScaleModel(centre, width, coefficients)


def scale(model: ScaleModel, mean: np.ndarray, spread: np.ndarray, novelty: np.ndarray) -> np.ndarray:
    """Scales (N, T), within a factor e^1.5 of the typical one, so that no extrapolation makes them absurd."""
    x = (_features(mean, spread, novelty) - model.centre) / model.width
    change = np.einsum("ntf,tf->nt", x, model.coefficients[:, 1:])
    return np.exp(model.coefficients[:, 0] + np.clip(change, -_RANGE, _RANGE))


def conformal_quantile(scores: np.ndarray, coverage: float) -> np.ndarray:
    """The ceil((n + 1) coverage)-th smallest score (T,) of scores (n, T); infinite where n is too small for it."""
    n = len(scores)
    rank = math.ceil((n + 1) * coverage - 1e-9)
    if rank > n:
        return np.full(scores.shape[1], np.inf)
    return np.sort(scores, axis=0)[rank - 1]
