"""Linear response of a cell at rest: how far a pulse of any field moves chosen compartments, by one matrix product.

The cable and its gates are linearised at rest, in the threshold engine's own discrete steps, so that the engine at
vanishing amplitude is met exactly. The linear cable is reciprocal (axial conductances are symmetric and every gate
acts on its own compartment): the response at compartment k to a current at j is that at j to a current at k. One
simulation per chosen compartment, with the pulse injected there, therefore gives the response to all fields.
"""

from __future__ import annotations

from collections import namedtuple

import numpy as np
from numba import njit

from understudy.errors import InputError
from understudy.tms.cable_arrays import AREA_TO_US, Cable, build_cable
from understudy.tms.channel_kinetics import CHANNEL_KINETICS, TEMPERATURE_C, q10
from understudy.tms.compartments import Compartments
from understudy.tms.simd_lanes import LANES, lanes_array, load, multiply_add, splat, store
from understudy.tms.threshold_engine import axial_matrix, channel_conductance, resting_state

_SLOPE_STEP_MV = 1e-4

LinearCable = namedtuple(
    "LinearCable", "parent axial capacity inverse gain branch compartment gate_start rate growth constant"
)
LinearCable.__doc__ = """The linearised cell: what `Cable` says, with the elimination done once.

inverse (M,) Mohm of the eliminated diagonal and gain (M,) = axial inverse; of each compartment with channels the gates
from gate_start on, each with its rate per step and its growth, uS of outward current per mV; constant, the number 0.
"""


def _gate_terms(compartments: Compartments, v_mV: np.ndarray, dt_ms: float):
    """Per gate (G,): compartment, rate of a step, growth (uS); sorted by compartment.

    A gate's departure y, times w = density d(share)/dx (v - E), is an outward current z = w y, which follows
    z' = z + rate (w x_inf'(v) u - z) for a departure u of the potential.
    """
    place, rates, growths = [], [], []
    q = q10(TEMPERATURE_C)
    for c, channel in enumerate(CHANNEL_KINETICS):
        here = np.flatnonzero((compartments.density[:, c] > 0) & (compartments.area > 0))
        v = v_mV[here]
        weight = AREA_TO_US * compartments.area[here] * compartments.density[here, c] * (v - channel.reversal_mV)
        steady = [gate(v, q) for gate in channel.gates]
        m, h = steady[0][0], (steady[1][0] if len(steady) == 2 else np.ones_like(v))
        share_slope = [channel.power * m ** (channel.power - 1) * h, m**channel.power]
        for gate, (_, tau), slope in zip(channel.gates, steady, share_slope, strict=False):
            steady_slope = (gate(v + _SLOPE_STEP_MV, q)[0] - gate(v - _SLOPE_STEP_MV, q)[0]) / (2 * _SLOPE_STEP_MV)
            rate = -np.expm1(-dt_ms / tau)
            place.append(here)
            rates.append(rate)
            growths.append(rate * weight * slope * steady_slope)
    place, rates, growths = (np.concatenate(x) for x in (place, rates, growths))
    order = np.argsort(place, kind="stable")
    return place[order], rates[order], growths[order]


def _linear_cable(compartments: Compartments, rest_mV: np.ndarray, dt_ms: float) -> LinearCable:
    cable: Cable = build_cable(compartments, dt_ms)
    conductance, _ = channel_conductance(compartments, rest_mV)
    diagonal = cable.fixed + conductance
    for i in range(len(diagonal) - 1, 0, -1):
        diagonal[cable.parent[i]] -= cable.axial[i] ** 2 / diagonal[i]
    place, rate, growth = _gate_terms(compartments, rest_mV, dt_ms)
    compartment, start = np.unique(place, return_index=True)
    return LinearCable(
        cable.parent, cable.axial, cable.capacity, 1.0 / diagonal, cable.axial / diagonal, cable.branch,
        compartment.astype(np.int32), np.append(start, len(place)).astype(np.int32), rate, growth, np.zeros(1),
    )  # fmt: skip


@njit(cache=True)
def _respond(cable, target, waveform, sample, u, gate, right, out):
    """Departures u (samples, targets <= 16, M) after a current of ``waveform`` (nA) into each target."""
    count = len(cable.parent)
    u[:], gate[:], right[:] = 0.0, 0.0, 0.0
    zero = splat(cable.constant[0])
    taken = 0
    for n in range(len(waveform)):
        for i in range(count):
            store(right, i, load(u, i) * splat(cable.capacity[i]))
        for lane in range(len(target)):
            right[target[lane] * LANES + lane] += waveform[n]
        for k in range(len(cable.compartment)):
            i = cable.compartment[k]
            current = zero
            for g in range(cable.gate_start[k], cable.gate_start[k + 1]):
                current = current + load(gate, g)
            store(right, i, load(right, i) - current)
        for i in range(count - 1, 0, -1):
            p = cable.parent[i]
            store(right, p, multiply_add(load(right, i), splat(cable.gain[i]), load(right, p)))
        store(u, 0, load(right, 0) * splat(cable.inverse[0]))
        for i in range(1, count):
            v = load(right, i) * splat(cable.inverse[i])
            store(u, i, multiply_add(load(u, cable.parent[i]), splat(cable.gain[i]), v))
        for k in range(len(cable.compartment)):
            v = load(u, cable.compartment[k])
            for g in range(cable.gate_start[k], cable.gate_start[k + 1]):
                z = load(gate, g)
                z = multiply_add(v, splat(cable.growth[g]), z - splat(cable.rate[g]) * z)
                store(gate, g, z)
        while taken < len(sample) and sample[taken] == n + 1:
            for lane in range(len(target)):
                for i in range(count):
                    out[taken, lane, i] = u[i * LANES + lane]
            taken += 1
        if taken == len(sample):
            return


def current_response(
    compartments: Compartments,
    waveform: np.ndarray,
    dt_ms: float,
    samples: np.ndarray,
    targets: np.ndarray,
    *,
    rest_mV: np.ndarray | None = None,
) -> np.ndarray:
    """Departure (T, K, M) mV at every compartment after a current of 1 nA times ``waveform`` into each target.

    By reciprocity also the departure at the target after that current into the compartment. The entry of a target
    itself under a constant waveform is its input impedance in Mohm.

    Parameters
    ----------
    waveform : (S,) value of the time course in each step.
    samples : (T,) numbers of steps after which the departure is wanted, ascending, 1 ... S.
    targets : (K,) compartments.

    Raises
    ------
    InputError
        On samples or targets outside the simulation or the cell.
    """
    wave = np.asarray(waveform, dtype=float)
    samples, targets = np.asarray(samples, dtype=np.int64), np.asarray(targets, dtype=np.int64)
    inside = samples.ndim == 1 and len(samples) > 0 and samples[0] >= 1 and samples[-1] <= len(wave)
    if not inside or (np.diff(samples) <= 0).any():
        raise InputError(f"samples: found {samples}; accepted are ascending step numbers from 1 to {len(wave)}")
    if targets.ndim != 1 or ((targets < 0) | (targets >= len(compartments))).any():
        raise InputError(f"targets: found {targets}; accepted are compartments 0 to {len(compartments) - 1}")
    rest = resting_state(compartments) if rest_mV is None else np.asarray(rest_mV, dtype=float)
    cable = _linear_cable(compartments, rest, dt_ms)
    u, right = (lanes_array(len(compartments), np.float64) for _ in range(2))
    gate = lanes_array(len(cable.rate), np.float64)
    out = np.empty((len(samples), len(targets), len(compartments)))
    for start in range(0, len(targets), LANES):
        part = slice(start, start + LANES)
        _respond(cable, targets[part], wave, samples, u, gate, right, out[:, part])
    return out


def linear_response(
    compartments: Compartments,
    waveform: np.ndarray,
    dt_ms: float,
    samples: np.ndarray,
    targets: np.ndarray | None = None,
    *,
    rest_mV: np.ndarray | None = None,
    dtype: type = np.float64,
) -> np.ndarray:
    """Departure (T, K, M) of the membrane potential from rest, in mV per mV of quasi-potential at each compartment.

    ``response @ potential`` is the departure at the targets (the axon terminals by default) for quasi-potentials (M,)
    times their amplitude. Arguments as in `current_response`. The equivalent currents of a potential are minus the
    axial matrix times it.
    """
    targets = compartments.terminal if targets is None else np.asarray(targets)
    response = current_response(compartments, waveform, dt_ms, samples, targets, rest_mV=rest_mV)
    axial = axial_matrix(compartments)
    out = np.empty(response.shape, dtype=dtype)
    for t in range(len(response)):
        out[t] = -(axial @ response[t].T).T
    return out
