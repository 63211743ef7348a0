"""Error measures, defined once and printed with the numbers."""

from __future__ import annotations

import numpy as np

DEFINITIONS = {
    "r2": "R2 = 1 - SSE/SST, SST about the mean of the ground truth of the same set",
    "nrmse": "NRMSE = RMSE/(max - min of the ground truth of the same set)",
    "mape": "MAPE = mean of |prediction - truth|/|truth|, over cases with |truth| > 1 % of the range of the truth",
    "pearson_r": "Pearson correlation of prediction and truth",
    "coverage90": "share of cases whose truth lies inside the nominal 90 % interval",
}


def r2(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Coefficient of determination, 1 - SSE/SST; truth and prediction (N,). NaN where the truth is constant."""
    total = float(np.sum((truth - truth.mean()) ** 2))
    return 1.0 - float(np.sum((truth - prediction) ** 2)) / total if total > 0 else float("nan")


def nrmse(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Root mean square error over the range of the truth; (N,) each. NaN where the truth is constant."""
    span = float(truth.max() - truth.min())
    return float(np.sqrt(np.mean((truth - prediction) ** 2))) / span if span > 0 else float("nan")


def mape(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Mean absolute relative error; cases with truth below 1 % of its range in magnitude are left out. NaN if none."""
    keep = np.abs(truth) > 0.01 * (truth.max() - truth.min())
    return float(np.mean(np.abs((prediction[keep] - truth[keep]) / truth[keep]))) if keep.any() else float("nan")


def pearson_r(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Pearson correlation; NaN where either is constant."""
    if truth.std() == 0 or prediction.std() == 0:
        return float("nan")
    return float(np.corrcoef(truth, prediction)[0, 1])


def coverage(truth: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Share of cases with lower <= truth <= upper."""
    return float(np.mean((truth >= lower) & (truth <= upper)))


def target_metrics(truth: np.ndarray, prediction: np.ndarray) -> dict[str, float]:
    """All point-error measures of one target."""
    return {
        "r2": r2(truth, prediction),
        "nrmse": nrmse(truth, prediction),
        "mape": mape(truth, prediction),
        "pearson_r": pearson_r(truth, prediction),
    }
