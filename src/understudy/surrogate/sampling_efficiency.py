"""How many cases a way of sampling needs for the error that another one reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np


def cases_for_error(n: Sequence[int], error: Sequence[float], level: float) -> float | None:
    """The least number of cases at which an error curve is down at ``level``, None where it never is.

    Between two points the logarithm of the error is linear in that of n. A curve that starts below the level gives its
    first n, which is then an upper bound.

    Parameters
    ----------
    n : ascending numbers of cases.
    error : error at each.
    level : the error wanted, above 0.
    """
    if error[0] <= level:
        return float(n[0])
    for (n0, e0), (n1, e1) in pairwise(zip(n, error, strict=True)):
        if e0 > level >= e1:
            if e1 <= 0:
                return float(n1)
            share = np.log(e0 / level) / np.log(e0 / e1)
            return float(n0 * (n1 / n0) ** share)
    return None


def cases_for_same_error(curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], yardstick: str) -> dict:
    """Way of sampling -> cases needed for the error of the way ``yardstick`` at its largest n; None where never."""
    level = curves[yardstick][1][-1]
    if not np.isfinite(level):
        return dict.fromkeys(curves)
    return {way: cases_for_error(*curve, level) for way, curve in curves.items()}
