"""Distance of fibre strain histories that forgives a shift in time, and searches with it.

d(p, q) = min over |lag| <= max_lag of the RMS over the overlapping samples of p(t + lag) - q(t). It is symmetric and
has the unit of strain. Searches carry a bound (a threshold, or the best distance so far) and pass over lags that cannot
get below it, because the RMS over an overlap is at least the difference of both histories' own RMS there. Sums over the
lags that remain are not cut short: whole ones vectorise, which saves more.
"""

from __future__ import annotations

import numba
import numpy as np

_OPTIONS = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc"}}

# Profiles whose products with all references are in memory at a time.
_GUESS_ROWS = 4096


def overlap_norms(profiles: np.ndarray, max_lag: int) -> np.ndarray:
    """Root sums of squares (n, 2, max_lag + 1) of histories (n, t) without their first, or last, k samples."""
    squares = np.cumsum(profiles.astype(np.float64) ** 2, axis=1)
    norms = np.empty((len(profiles), 2, max_lag + 1))
    for k in range(max_lag + 1):
        first = squares[:, k - 1] if k else 0.0
        norms[:, 0, k] = squares[:, -1] - first
        norms[:, 1, k] = squares[:, -1 - k]
    return np.sqrt(np.maximum(norms, 0.0)).astype(np.float32)


@numba.njit(inline="always", **_OPTIONS)
def _bounded(p, q, p_norms, q_norms, max_lag, bound):
    """Squared distance (mean square) of two histories, or ``bound`` (a mean square) if it is not below that."""
    samples = len(p)
    best = bound
    for order in range(2 * max_lag + 1):
        # Lags 0, 1, -1, 2, -2, ...: the best one is mostly small.
        lag = (order + 1) // 2
        overlap = samples - lag
        most = np.float32(best * overlap)
        if order % 2 == 1:
            gap = p_norms[0, lag] - q_norms[1, lag]
            p_start, q_start = lag, 0
        else:
            gap = p_norms[1, lag] - q_norms[0, lag]
            p_start, q_start = 0, lag
        # The margin covers the rounding of the norms.
        if gap * gap * np.float32(0.999) >= most:
            continue
        total = np.float32(0.0)
        for k in range(overlap):
            difference = p[p_start + k] - q[q_start + k]
            total += difference * difference
        best = min(best, total / np.float32(overlap))
    return best


@numba.njit(**_OPTIONS)
def _lower_to_nearest(profiles, norms, references, reference_norms, max_lag, guess, squared):
    """Lower ``squared`` (n,) to the squared distance of each profile to its nearest reference, ``guess`` (n,) first."""
    for i in range(len(profiles)):
        first = guess[i]
        best = _bounded(profiles[i], references[first], norms[i], reference_norms[first], max_lag, squared[i])
        for j in range(len(references)):
            best = _bounded(profiles[i], references[j], norms[i], reference_norms[j], max_lag, best)
        squared[i] = best


def lower_to_nearest(
    profiles: np.ndarray,
    norms: np.ndarray,
    references: np.ndarray,
    reference_norms: np.ndarray,
    max_lag: int,
    squared: np.ndarray,
) -> None:
    """Lower ``squared`` (n,) float32, in place, to the squared distance of each profile to its nearest reference.

    Profiles (n, t) and references (m, t) are C-ordered float32 with norms from `overlap_norms`; ``squared`` starts at
    infinity or at an upper bound. The reference that is nearest without a lag comes first: a small bound from the start
    lets most others be passed over.
    """
    reference_squares = np.einsum("mt,mt->m", references, references)
    guess = np.empty(len(profiles), dtype=np.int64)
    for start in range(0, len(profiles), _GUESS_ROWS):
        rows = slice(start, start + _GUESS_ROWS)
        guess[rows] = (reference_squares - 2.0 * (profiles[rows] @ references.T)).argmin(axis=1)
    _lower_to_nearest(profiles, norms, references, reference_norms, max_lag, guess, squared)


@numba.njit(**_OPTIONS)
def walk(profiles, norms, starts, max_lag, threshold, limit, accepted):
    """One stratified pass: accept each stratum's most novel candidate unless it is nearer than ``threshold`` to any.

    Parameters
    ----------
    profiles : (n, t) float32, candidates in the order of the walk, those of a stratum together.
    norms : from `overlap_norms`.
    starts : (s + 1,) first candidate of each stratum, and n.
    max_lag : samples.
    threshold : distance in strain; 0 accepts one candidate of each stratum.
    limit : the pass stops when it has accepted more.
    accepted : (limit + 1,) int64, receives the accepted candidates in order.

    Returns
    -------
    count : accepted candidates, ``limit + 1`` where the pass was stopped.
    """
    squared_threshold = np.float32(threshold * threshold)
    # Accepted candidates, those that rejected others lately towards the front: mostly they reject the next one, too.
    recent = np.empty(limit + 1, np.int64)
    count = 0
    for stratum in range(len(starts) - 1):
        chosen = -1
        chosen_squared = np.float32(-1.0)
        alone = starts[stratum + 1] - starts[stratum] == 1
        for i in range(starts[stratum], starts[stratum + 1]):
            novel = True
            for r in range(count):
                j = recent[r]
                if (
                    _bounded(profiles[i], profiles[j], norms[i], norms[j], max_lag, squared_threshold)
                    < squared_threshold
                ):
                    novel = False
                    recent[r] = recent[r // 2]
                    recent[r // 2] = j
                    break
            if not novel:
                continue
            nearest = np.float32(np.inf)
            if not alone:
                for r in range(count):
                    j = recent[r]
                    nearest = _bounded(profiles[i], profiles[j], norms[i], norms[j], max_lag, nearest)
            if nearest > chosen_squared:
                chosen, chosen_squared = i, nearest
        if chosen >= 0:
            accepted[count] = chosen
            recent[count] = chosen
            count += 1
            if count > limit:
                return count
    return count
