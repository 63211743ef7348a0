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
_LEAST_MV, _MOST_MV, _TRIALS = 4.0, 164.0, 12
PRECISION_MV = 0.5 * (_MOST_MV - _LEAST_MV) / 2**_TRIALS
"""Half of the interval that bisection leaves: 0.02 mV."""

# Nodes that are worked on side by side.
_TOGETHER = 16


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
    tables = (m, -np.expm1(-kinds[:, None] / m_tau), h, -np.expm1(-kinds[:, None] / h_tau))
    return *(table.astype(np.float32) for table in tables), kind.reshape(-1)


def critical_polarisation(
    course: np.ndarray,
    sample_ms: tuple[float, ...],
    rest_mV: np.ndarray,
    capacitance_nF: np.ndarray,
    resistance_Mohm: np.ndarray,
) -> np.ndarray:
    """Least peak of the linear polarisation at which a lone node fires, (N, K) mV; 0 where there is none.

    Known to `PRECISION_MV`; a node's result does not depend on the others of a call.

    Parameters
    ----------
    course : (N, K, T) polarisation over time of any amplitude at ``sample_ms``; without a positive value, or with all
        zeros, there is none to find.
    rest_mV, capacitance_nF, resistance_Mohm : (N, K) of each terminal.
    """
    steps, tail = _steps_of(tuple(sample_ms))
    samples = course.shape[-1]
    peak = course.max(axis=-1).ravel()
    chosen = np.flatnonzero(peak > 0)
    found = np.zeros(peak.size)
    if len(chosen):
        # The last lanes of the last group repeat a node.
        padded = np.resize(chosen, -(-len(chosen) // _TOGETHER) * _TOGETHER)
        padded[len(chosen) :] = chosen[-1]
        shape = np.empty((len(padded), len(steps)), dtype=np.float32)
        shape[:, :samples] = course.reshape(-1, samples)[padded] / peak[padded, None]
        shape[:, samples:] = shape[:, samples - 1 : samples] * tail

        def in_lanes(values: np.ndarray) -> np.ndarray:
            return np.asarray(values, dtype=np.float32).ravel()[padded].reshape(-1, _TOGETHER)

        critical = np.empty((len(padded) // _TOGETHER, _TOGETHER), dtype=np.float32)
        _critical(
            np.ascontiguousarray(shape.reshape(-1, _TOGETHER, len(steps)).transpose(0, 2, 1)),
            in_lanes(rest_mV),
            in_lanes(capacitance_nF),
            1 / in_lanes(resistance_Mohm),
            (1 / steps).astype(np.float32),
            *_gate_tables(steps),
            np.float32(NODE_CONDUCTANCE_US),
            np.float32(_SODIUM.reversal_mV),
            critical,
        )
        found[chosen] = critical.ravel()[: len(chosen)]
    return found.reshape(course.shape[:2])


@njit(cache=True, fastmath={"nnan", "ninf", "nsz", "contract", "reassoc"})
def _critical(shape, rest, c, leak, per_step, m_steady, m_share, h_steady, h_share, kind, g, reversal, found):
    """Bisection for groups of nodes side by side, shape (G, S, lanes): all loops over lanes become vector code.

    A node is implicit in the potential, its gates move after it, as in the threshold engine. Lanes that have fired run
    on to the end of their trial, which costs less than leaving.
    """
    groups, steps, lanes = shape.shape[0], shape.shape[1], _TOGETHER
    lowest, per_mV, last = np.float32(_LOWEST_MV), np.float32(1 / _STEP_MV), np.float32(len(m_steady) - 1)
    zero, half = np.float32(0), np.float32(0.5)
    low, high, middle, top, x, m, h, resting = np.empty((8, lanes), np.float32)
    for n in range(groups):
        for lane in range(lanes):
            low[lane], high[lane] = _LEAST_MV, _MOST_MV
        for _ in range(_TRIALS):
            for lane in range(lanes):
                at = np.int32((rest[n, lane] - lowest) * per_mV)
                m[lane], h[lane], x[lane], top[lane] = m_steady[at], h_steady[at], zero, lowest
                resting[lane] = g * m[lane] * m[lane] * m[lane] * h[lane] * (reversal - rest[n, lane])
                middle[lane] = half * (low[lane] + high[lane])
            for s in range(steps):
                k = kind[s]
                for lane in range(lanes):
                    open_g = g * m[lane] * m[lane] * m[lane] * h[lane]
                    charge = c[n, lane] * per_step[s]
                    driven = rest[n, lane] + middle[lane] * shape[n, s, lane]
                    x[lane] = (charge * x[lane] + open_g * (reversal - driven) - resting[lane]) / (
                        charge + leak[n, lane] + open_g
                    )
                    v = driven + x[lane]
                    top[lane] = max(top[lane], v)
                    at = np.uintp(np.int32(min(max((v - lowest) * per_mV, zero), last)))
                    m[lane] += (m_steady[at] - m[lane]) * m_share[k, at]
                    h[lane] += (h_steady[at] - h[lane]) * h_share[k, at]
            for lane in range(lanes):
                if top[lane] >= zero:
                    high[lane] = middle[lane]
                else:
                    low[lane] = middle[lane]
        for lane in range(lanes):
            found[n, lane] = half * (low[lane] + high[lane])
