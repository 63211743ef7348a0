"""Intervals over groups: cases of one group are alike, so groups are what is drawn anew in a bootstrap.

Percentile intervals from few groups are somewhat too narrow (Cameron, Gelbach and Miller 2008, Rev Econ Stat 90:414),
so a verdict from five to ten groups is to be read with that in mind.
"""

from __future__ import annotations

from typing import Any

import numpy as np

LEAST_CASES = 1000
LEAST_GROUPS = 5
BAND = 0.02
LEVEL = 0.95


def resampled_weights(group: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each group is drawn in each of the resamples, (resamples, groups), groups in ascending order."""
    count = len(np.unique(group))
    return generator.multinomial(count, np.full(count, 1 / count), size=resamples)


def _ratio(group: np.ndarray, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of values (N,) over the cases of the drawn groups, (resamples,)."""
    _, index = np.unique(group, return_inverse=True)
    return (weights @ np.bincount(index, values)) / (weights @ np.bincount(index))


def _interval(values: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired_difference(
    truth: np.ndarray, network: np.ndarray, baseline: np.ndarray, group: np.ndarray, weights: np.ndarray
) -> dict[str, Any]:
    """NRMSE of the network minus NRMSE of a baseline on the same cases, (N,) each, with a 95 % cluster bootstrap.

    The range of the truth that norms both is that of the whole set in every resample. With one group there is no
    interval and no verdict.
    """
    span = float(truth.max() - truth.min())
    if span <= 0:
        return {"difference_nrmse": float("nan"), "low": None, "high": None, "verdict": "not judged: constant truth"}
    network_squared, baseline_squared = (network - truth) ** 2, (baseline - truth) ** 2
    difference = (np.sqrt(network_squared.mean()) - np.sqrt(baseline_squared.mean())) / span
    if weights.shape[1] < 2:
        return {"difference_nrmse": float(difference), "low": None, "high": None, "verdict": "not judged: one group"}
    drawn = np.sqrt(_ratio(group, network_squared, weights)) - np.sqrt(_ratio(group, baseline_squared, weights))
    low, high = _interval(drawn / span)
    verdict = "network better" if high < 0 else "baseline better" if low > 0 else "no difference"
    return {"difference_nrmse": float(difference), "low": low, "high": high, "verdict": verdict}


def judge_coverage(inside: np.ndarray, group: np.ndarray, weights: np.ndarray, nominal: float) -> dict[str, Any]:
    """Verdict on the coverage of intervals from ``inside`` (N,) bool.

    It passes where the 95 % cluster-bootstrap interval overlaps nominal +- 2 %, and is judged only on at least 1,000
    cases of at least 5 groups; ``passed`` is None and ``reason`` says why where it is not.
    """
    n, groups = len(inside), weights.shape[1]
    result: dict[str, Any] = {"coverage": float(inside.mean()), "low": None, "high": None, "nominal": nominal}
    if groups > 1:
        result["low"], result["high"] = _interval(_ratio(group, inside.astype(float), weights))
    short = []
    if n < LEAST_CASES:
        short.append(f"{n} cases, needed are {LEAST_CASES}")
    if groups < LEAST_GROUPS:
        short.append(f"{groups} groups, needed are {LEAST_GROUPS}")
    if short:
        result |= {"passed": None, "reason": "not judged: " + " and ".join(short)}
    else:
        # An edge that equals the band's bound to rounding still overlaps it.
        overlaps = result["low"] <= nominal + BAND + 1e-12 and result["high"] >= nominal - BAND - 1e-12
        bound = f"{nominal - BAND:.2f}-{nominal + BAND:.2f}"
        result |= {"passed": bool(overlaps), "reason": f"interval {'overlaps' if overlaps else 'misses'} {bound}"}
    return result | {"n": n, "groups": groups}
