"""Comparison of threshold predictors: errors, paired intervals over groups, and the median of a population of cells.

Errors are those of `understudy.surrogate.metrics`, R2 among them being 1 - SSE/SST: a squared correlation, which
published comparisons of thresholds use, does not see a bias.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from understudy.errors import InputError
from understudy.surrogate.comparison import LEVEL, resampled_weights
from understudy.surrogate.metrics import r2


def absolute_relative_error(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """|prediction - truth|/truth of thresholds (N,), a fraction."""
    return np.abs(prediction - truth) / truth


def summarise(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """Errors of thresholds (N,) as fractions: mean (mape), median and 95th percentile of the absolute relative error,
    mean signed relative error (bias), R2."""
    error = absolute_relative_error(truth, prediction)
    return {
        "mape": float(error.mean()),
        "median_ape": float(np.median(error)),
        "p95_ape": float(np.quantile(error, 0.95)),
        "bias": float(np.mean(prediction / truth - 1)),
        "r2": r2(truth, prediction),
    }


def compare_mape(
    truth: np.ndarray,
    models: Mapping[str, np.ndarray],
    reference: str,
    group: np.ndarray,
    resamples: int,
    generator: np.random.Generator,
) -> dict[str, dict[str, Any]]:
    """MAPE of each model against that of ``reference`` on the same cases, with a cluster bootstrap over groups.

    Parameters
    ----------
    truth : (N,) thresholds; ``models`` name -> (N,) predictions of the same cases; ``group`` (N,) what is drawn anew.
    reference : the model that the others are compared with.

    Returns
    -------
    name -> ``mape``, and for all but the reference ``difference`` (mape of the reference minus that of the model) and
    ``ratio`` (reference over model), each with ``low`` and ``high``, the 95 % interval (None where there is one group),
    and ``verdict``.

    Raises
    ------
    InputError
        If a prediction is not a positive number: a missing one would flatter its model.
    """
    for name, values in models.items():
        bad = ~(np.isfinite(values) & (values > 0))
        if bad.any():
            raise InputError(
                f"model {name}: found {values[bad][0]} as threshold of case {int(np.flatnonzero(bad)[0])} (counted "
                "from 0); accepted are positive numbers"
            )
    weights = resampled_weights(group, resamples, generator)
    _, index = np.unique(group, return_inverse=True)
    count = weights @ np.bincount(index)

    def drawn(values: np.ndarray) -> np.ndarray:
        return (weights @ np.bincount(index, values)) / count

    errors = {name: absolute_relative_error(truth, values) for name, values in models.items()}
    base, base_drawn = float(errors[reference].mean()), drawn(errors[reference])
    result: dict[str, dict[str, Any]] = {}
    for name, error in errors.items():
        entry: dict[str, Any] = {"mape": float(error.mean())}
        if name != reference:
            other = drawn(error)
            entry["difference"] = _with_interval(base - entry["mape"], base_drawn - other, weights.shape[1])
            entry["ratio"] = _with_interval(base / entry["mape"], base_drawn / other, weights.shape[1])
            low, high = entry["difference"]["low"], entry["difference"]["high"]
            entry["verdict"] = (
                "not judged: one group"
                if low is None
                else f"{reference} better"
                if high < 0
                else f"{name} better"
                if low > 0
                else "no difference"
            )
        result[name] = entry
    return result


def _with_interval(value: float, drawn: np.ndarray, groups: int) -> dict[str, float | None]:
    if groups < 2:
        return {"value": value, "low": None, "high": None}
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def population_median(threshold: np.ndarray, keys: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Median threshold over clones and azimuths at each position.

    Parameters
    ----------
    threshold : (N,), in a unit that belongs to the coil or to the position's own |E|, the same for a whole population.
    keys : arrays (N,) of whole numbers that name a population together, such as placement, position and cell type.

    Returns
    -------
    names (P, len(keys)) of the populations in ascending order, medians (P,).
    """
    names, index = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    index = index.reshape(-1)
    order = np.lexsort((threshold, index))
    size = np.bincount(index, minlength=len(names))
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    ordered = threshold[order]
    return names, 0.5 * (ordered[start + (size - 1) // 2] + ordered[start + size // 2])
