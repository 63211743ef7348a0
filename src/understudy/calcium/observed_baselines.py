"""What can be said of a channel from noisy, sparse observations without a model of it: smoothing, and a table."""

from __future__ import annotations

import numpy as np
import torch
from scipy.interpolate import make_smoothing_spline

from understudy.calcium.observations import PROBABILITY, Observations, expected_observations

_ROUGHNESS = (1.0, 30.0, 1e3)
_HELD_BACK = 0.2
_ITERATIONS = 120


def smoothed(observed: Observations) -> np.ndarray:
    """Open probability (N, T) by the smoothest course that agrees with each protocol's observations.

    The axis is the number of the interval, on which fast and slow parts are equally resolved. Open probabilities are
    smoothed by a spline, generalised cross-validation choosing how much; from fluorescence they come by regularised
    deconvolution (`deconvolved`), which knows store and dye.
    """
    if observed.observing.kind != PROBABILITY:
        return deconvolved(observed)
    columns, found = np.arange(observed.values.shape[1], dtype=float), np.empty(observed.values.shape)
    for row, values in enumerate(observed.values):
        at = np.flatnonzero(np.isfinite(values))
        found[row] = make_smoothing_spline(at.astype(float), values[at])(np.clip(columns, at[0], at[-1]))
    return np.clip(found, 0.0, 1.0)


def _course(observed: Observations, used: np.ndarray, roughness: float) -> tuple[np.ndarray, np.ndarray]:
    """Open probability (N, T + 1) and what it predicts (N, T): least squares on the ``used`` observations plus
    ``roughness`` times the squared second differences of its logits."""
    dt = torch.from_numpy(observed.clamps.dt_s)
    values, weight = torch.from_numpy(np.nan_to_num(observed.values)), torch.from_numpy(used.astype(float))
    logits = torch.full((dt.shape[0], dt.shape[1] + 1), -2.0, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([logits], max_iter=_ITERATIONS, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        found = expected_observations(observed.observing, torch.sigmoid(logits), dt)
        misfit = (((found - values) / observed.observing.noise) ** 2 * weight).sum()
        bend = logits[:, 2:] - 2 * logits[:, 1:-1] + logits[:, :-2]
        total = misfit + roughness * (bend**2).sum() + 1e-4 * (logits**2).sum()
        total.backward()
        return total

    optimiser.step(closure)
    with torch.no_grad():
        p = torch.sigmoid(logits)
        return p.numpy(), expected_observations(observed.observing, p, dt).numpy()


def deconvolved(observed: Observations, seed: int = 0) -> np.ndarray:
    """Open probability (N, T) by regularised deconvolution; a fifth of the observations, held back, chooses how
    smooth."""
    held = observed.seen & (np.random.default_rng(seed).random(observed.values.shape) < _HELD_BACK)
    misses = []
    for roughness in _ROUGHNESS:
        found = _course(observed, observed.seen & ~held, roughness)[1]
        misses.append(((found - observed.values)[held] ** 2).mean())
    return _course(observed, observed.seen, _ROUGHNESS[int(np.argmin(misses))])[0][:, 1:]


def tabulated(
    observed: Observations, drive_scaled: np.ndarray, new_scaled: np.ndarray, width: float = 0.1
) -> np.ndarray:
    """Open probability at new drivers (scaled, any shape) as the mean of the smoothed one at like drivers seen.

    A channel without memory: what a table of the open probability against the driver can tell.
    """
    values, at = smoothed(observed)[observed.seen], drive_scaled[observed.seen]
    grid = np.linspace(-1, 1, 201)
    weight = np.exp(-0.5 * ((grid[:, None] - at) / width) ** 2) + 1e-12
    return np.interp(new_scaled, grid, weight @ values / weight.sum(axis=1))
