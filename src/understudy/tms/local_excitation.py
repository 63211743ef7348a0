"""When would a terminal fire if it stood alone? A node with sodium channels under a given course of polarisation.

The linear polarisation of a terminal says how strongly a field acts on it, not whether a short strong or a long weak
pulse is the better one: that is for the sodium channels to decide. Here they do, in the smallest model that has them:
the terminal's potential is its rest, plus amplitude times the linear course, plus what the node's own sodium current
adds over the terminal's input impedance (a capacitance and a resistance). The least amplitude at which it reaches 0 mV
takes in the shape of any pulse, seen before or not; what the neighbours do is left to the surrogate.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from understudy.tms.channel_kinetics import CHANNEL_KINETICS, TEMPERATURE_C, q10
from understudy.tms.compartments import CHANNELS

NODE_CONDUCTANCE_US = 0.25
"""Sodium conductance of a node: 1 um long, 1.1 um thick, 6.9 S/cm2 (twice the axonal density of layer 2/3 pyramidal
cells; estimate). Half or twice of it moves all critical polarisations alike, by about a tenth."""

SPAN_MS = 0.8
"""How long a node is given to fire."""

_SODIUM = CHANNEL_KINETICS[CHANNELS.index("NaTa_t")]
_LOWEST_MV, _STEP_MV, _HIGHEST_MV = -180.0, 0.25, 60.0
# Behind the last sample: a membrane that is left alone.
_TAIL_STEP_MS, _TAIL_DECAY_MS = 0.02, 0.1
_LEAST_MV, _MOST_MV, _PRECISION_MV = 4.0, 164.0, 0.03


def _steps_of(sample_ms: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Steps (S,) in ms from 0 through the samples to `SPAN_MS`; shares (S - T,) of the last sample behind them."""
    steps = np.diff(sample_ms, prepend=0.0)
    more = int(np.ceil((SPAN_MS - sample_ms[-1]) / _TAIL_STEP_MS))
    tail = np.exp(-np.arange(1, more + 1) * _TAIL_STEP_MS / _TAIL_DECAY_MS)
    return np.concatenate([steps, np.full(more, _TAIL_STEP_MS)]), tail


def _gate_tables(steps_ms: np.ndarray) -> tuple[np.ndarray, ...]:
    """Steady states (V,) and shares of the way there per kind of step (D, V) of m and h; number of each step's kind."""
    v = np.arange(_LOWEST_MV, _HIGHEST_MV, _STEP_MV)
    kinds, kind = np.unique(np.round(steps_ms, 9), return_inverse=True)
    (m, m_tau), (h, h_tau) = (gate(v, q10(TEMPERATURE_C)) for gate in _SODIUM.gates)
    return m, -np.expm1(-kinds[:, None] / m_tau), h, -np.expm1(-kinds[:, None] / h_tau), kind.reshape(-1)


def critical_polarisation(
    course: np.ndarray,
    sample_ms: tuple[float, ...],
    rest_mV: np.ndarray,
    capacitance_nF: np.ndarray,
    resistance_Mohm: np.ndarray,
) -> np.ndarray:
    """Least peak of the linear polarisation at which a lone node fires, (N, K) mV; 0 where there is none.

    Parameters
    ----------
    course : (N, K, T) polarisation over time of any amplitude at ``sample_ms``; without a positive value, or with all
        zeros, there is none to find.
    rest_mV, capacitance_nF, resistance_Mohm : (N, K) of each terminal.
    """
    steps, tail = _steps_of(tuple(sample_ms))
    arrays = (np.ascontiguousarray(a, dtype=np.float64) for a in (course, rest_mV, capacitance_nF, resistance_Mohm))
    return _critical(*arrays, steps, tail, *_gate_tables(steps), NODE_CONDUCTANCE_US, _SODIUM.reversal_mV)


@njit(cache=True)
def _fires(amplitude, shape, rest, c, leak, steps, m_steady, m_share, h_steady, h_share, kind, g, reversal):
    """Whether a node reaches 0 mV; implicit in the potential, gates after it, as the threshold engine."""
    at = int((rest - _LOWEST_MV) / _STEP_MV)
    m, h, x = m_steady[at], h_steady[at], 0.0
    resting = g * m * m * m * h * (reversal - rest)
    for s in range(len(steps)):
        open_g = g * m * m * m * h
        charge = c / steps[s]
        driven = rest + amplitude * shape[s]
        x = (charge * x + open_g * (reversal - driven) - resting) / (charge + leak + open_g)
        v = driven + x
        if v >= 0.0:
            return True
        at = max(int((v - _LOWEST_MV) / _STEP_MV), 0)
        m += (m_steady[at] - m) * m_share[kind[s], at]
        h += (h_steady[at] - h) * h_share[kind[s], at]
    return False


@njit(cache=True)
def _critical(course, rest, c, r, steps, tail, m_steady, m_share, h_steady, h_share, kind, g, reversal):
    cases, terminals, samples = course.shape
    found = np.zeros((cases, terminals))
    shape = np.empty(len(steps))
    for n in range(cases):
        guess = 0.0
        for k in range(terminals):
            peak = course[n, k].max()
            if peak <= 0:
                continue
            for s in range(samples):
                shape[s] = course[n, k, s] / peak
            for s in range(len(tail)):
                shape[samples + s] = shape[samples - 1] * tail[s]
            low, high = _LEAST_MV, _MOST_MV
            given = (
                shape,
                rest[n, k],
                c[n, k],
                1 / r[n, k],
                steps,
                m_steady,
                m_share,
                h_steady,
                h_share,
                kind,
                g,
                reversal,
            )
            # The course of the terminal before is a good guess: within 4 % as a rule.
            if guess > 0:
                if _fires(1.04 * guess, *given):
                    high = 1.04 * guess
                    if not _fires(0.96 * guess, *given):
                        low = 0.96 * guess
                    else:
                        high = 0.96 * guess
                else:
                    low = min(1.04 * guess, 0.9 * high)
            while high - low > _PRECISION_MV:
                middle = 0.5 * (low + high)
                if _fires(middle, *given):
                    high = middle
                else:
                    low = middle
            found[n, k] = guess = 0.5 * (low + high)
    return found
