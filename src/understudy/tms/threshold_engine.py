"""Activation thresholds of one cell in many fields: arrays in, thresholds out.

The membrane potential is solved with the field as equivalent axial currents, which is exactly what NEURON's
``extracellular`` with a low-ohmic outside does for a single cable. A case is a set of quasi-potentials and a time
course; `understudy.tms.cable_kernel` runs sixteen of them side by side.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import csc_matrix
from scipy.sparse.linalg import splu

from understudy.errors import InputError
from understudy.tms.cable_arrays import AREA_TO_US, Cable, build_cable, channel_sets, new_lanes
from understudy.tms.cable_kernel import record, search
from understudy.tms.channel_kinetics import CHANNEL_KINETICS, steady_gates
from understudy.tms.compartments import Compartments
from understudy.tms.simd_lanes import LANES
from understudy.tms.thresholds import CROSSINGS, DEFAULT_GUESS, Thresholds

REST_TOLERANCE_MV = 1e-9
_REST_WHOLE_STEPS = 200
_REST_ITERATIONS = 1000


def axial_matrix(compartments: Compartments) -> csc_matrix:
    """(M, M) uS: currents that leave compartments = matrix @ potential (symmetric, rows sum to zero)."""
    count = len(compartments)
    child = np.arange(1, count)
    parent, g = np.asarray(compartments.parent[1:], dtype=int), np.asarray(compartments.axial[1:], dtype=float)
    rows = np.concatenate([child, parent, child, parent])
    columns = np.concatenate([child, parent, parent, child])
    return csc_matrix((np.concatenate([g, g, -g, -g]), (rows, columns)), shape=(count, count))


def channel_conductance(compartments: Compartments, v_mV: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Conductance (M,) uS of all channels with gates at their steady state, and that times the reversals (M,) nA."""
    total, current = np.zeros(len(compartments)), np.zeros(len(compartments))
    for c, channel in enumerate(CHANNEL_KINETICS):
        here = np.flatnonzero((compartments.density[:, c] > 0) & (compartments.area > 0))
        gates = steady_gates((c,), v_mV[here])
        share = gates[0] ** channel.power * (gates[1] if len(gates) == 2 else 1.0)
        g = AREA_TO_US * compartments.area[here] * compartments.density[here, c] * share
        total[here] += g
        current[here] += g * channel.reversal_mV
    return total, current


def resting_state(compartments: Compartments, start_mV: float = -75.0) -> np.ndarray:
    """Membrane potential (M,) mV at which nothing changes.

    Found as NEURON scripts do, by steps so long that every gate is at its steady state; the steps end when the
    potential moves by less than `REST_TOLERANCE_MV`.

    Raises
    ------
    InputError
        Where the cell comes to no rest.
    """
    leak = AREA_TO_US * compartments.area * compartments.leak
    axial = axial_matrix(compartments)
    v = np.full(len(compartments), start_mV)
    diagonal = axial.copy()
    for iteration in range(_REST_ITERATIONS):
        conductance, current = channel_conductance(compartments, v)
        diagonal = axial + csc_matrix((leak + conductance, (range(len(v)), range(len(v)))), shape=axial.shape)
        new = splu(diagonal).solve(leak * compartments.leak_reversal + current)
        moved = np.abs(new - v).max()
        if moved < REST_TOLERANCE_MV:
            return new
        # Whole steps may swing about the rest for ever; shorter ones settle.
        v = v + (new - v) / (1 + iteration // _REST_WHOLE_STEPS)
    raise InputError(
        f"cell {compartments.cell}: the potential still moves by {moved:.2g} mV after "
        f"{_REST_ITERATIONS} steps; accepted is a cell with a resting state"
    )


def _gate_states(compartments: Compartments, v_mV: np.ndarray) -> np.ndarray:
    """Steady states of all gates in the kernel's order."""
    sets, number = channel_sets(compartments)
    states = [steady_gates(sets[number[i]], v_mV[i]) for i in np.flatnonzero(number >= 0)]
    return np.concatenate([*states, np.zeros(0)])


def _checked(compartments: Compartments, potential_mV, waveform, dt_ms) -> tuple[np.ndarray, np.ndarray]:
    """Potentials (N, M) and waveforms (1 or N, S) as contiguous float64, or an error that names the argument."""
    count = len(compartments)
    potential = np.ascontiguousarray(potential_mV, dtype=float)
    if potential.ndim != 2 or potential.shape[1] != count:
        raise InputError(f"potential_mV: found shape {potential.shape}; accepted is (cases, {count})")
    if not np.isfinite(potential).all():
        bad = np.flatnonzero(~np.isfinite(potential).all(axis=1))
        raise InputError(f"potential_mV: case {bad[0]} is not finite; accepted are finite potentials")
    wave = np.ascontiguousarray(np.atleast_2d(np.asarray(waveform, dtype=float)))
    if wave.ndim != 2 or len(wave) not in (1, len(potential)) or wave.shape[1] == 0:
        shapes = f"(steps,) or ({len(potential)}, steps)"
        raise InputError(f"waveform: found shape {np.shape(waveform)}; accepted is {shapes}")
    if not np.isfinite(wave).all():
        raise InputError("waveform: found a value that is not finite; accepted are finite values")
    if not 0 < dt_ms <= 0.1:
        raise InputError(f"dt_ms: found {dt_ms}; accepted is above 0 and at most 0.1")
    return potential, wave


def _checked_method(precision: str, order: int) -> None:
    if precision not in ("float64", "float32"):
        raise InputError(f"precision: found {precision!r}; accepted are 'float64' and 'float32'")
    if order not in (1, 2):
        raise InputError(f"order: found {order!r}; accepted are 1 (implicit Euler) and 2 (BDF2)")


def _rest(compartments: Compartments, cable: Cable, rest_mV: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    v = resting_state(compartments) if rest_mV is None else np.asarray(rest_mV, dtype=float)
    dtype = cable.axial.dtype
    return v.astype(dtype), _gate_states(compartments, v).astype(dtype)


def find_thresholds(
    compartments: Compartments,
    potential_mV: np.ndarray,
    waveform: np.ndarray,
    dt_ms: float,
    *,
    tolerance: float = 1e-4,
    guess: np.ndarray | None = None,
    limit: float = 5000.0,
    precision: str = "float64",
    order: int = 1,
    rest_mV: np.ndarray | None = None,
) -> Thresholds:
    """Smallest amplitude at which a cell fires, for many fields.

    Parameters
    ----------
    compartments : the cell (M compartments).
    potential_mV : (N, M) quasi-potential of each case in mV per unit of amplitude (V/m).
    waveform : (S,) or (N, S) value of the time course in each step: the window is S steps.
    dt_ms : time step.
    tolerance : the interval that holds the threshold, relative, at which bisection ends; its upper end is returned.
    guess : (N,) expected thresholds; 5 % above and below are tried first. Without it the search starts at 100.
    limit : a case that this amplitude does not excite has no threshold.
    precision : "float64" or "float32" (shifts thresholds by less than 1e-4).
    order : 1 is implicit Euler, NEURON's default step by step; 2 is BDF2 at the same cost, whose time-step error falls
        with the square (`understudy.tms.time_step` measures it).
    rest_mV : (M,) `resting_state` of this cell where it is known already.

    Raises
    ------
    InputError
        On wrong shapes or values that are not finite.

    Notes
    -----
    The bits of a case do not depend on the other cases of a call. One case costs what sixteen do: give many.
    """
    potential, wave = _checked(compartments, potential_mV, waveform, dt_ms)
    cases = len(potential)
    if not 1e-10 <= tolerance < 1:
        raise InputError(f"tolerance: found {tolerance}; accepted is 1e-10 to 1")
    if not 0 < limit < np.inf:
        raise InputError(f"limit: found {limit}; accepted is a finite amplitude above 0")
    _checked_method(precision, order)
    start = np.full(cases, DEFAULT_GUESS) if guess is None else np.asarray(guess, dtype=float)
    if start.shape != (cases,) or not (np.isfinite(start) & (start > 0)).all():
        raise InputError(f"guess: found shape {start.shape}; accepted are {cases} finite values above 0")
    cable = build_cable(compartments, dt_ms, precision, order=order)
    rest_v, rest_state = _rest(compartments, cable, rest_mV)
    threshold = np.full(cases, np.nan)
    site, first_step = np.full(cases, -1, dtype=np.int32), np.zeros(cases, dtype=np.int64)
    runs = np.zeros(cases, dtype=np.int32)
    search(
        cable, new_lanes(cable), np.asarray(compartments.axial, dtype=float), rest_v, rest_state, potential, wave,
        start, guess is not None, tolerance, limit, CROSSINGS, threshold, site, first_step, runs,
    )  # fmt: skip
    found = np.isfinite(threshold)
    return Thresholds(threshold, np.where(found, site, -1), np.where(found, first_step * dt_ms, np.nan), runs, found)


def simulate(
    compartments: Compartments,
    potential_mV: np.ndarray,
    waveform: np.ndarray,
    amplitude: np.ndarray,
    dt_ms: float,
    *,
    recorded: np.ndarray | None = None,
    precision: str = "float64",
    order: int = 1,
    rest_mV: np.ndarray | None = None,
) -> np.ndarray:
    """Membrane potential (N, S, R) mV after each step at the ``recorded`` compartments (all by default).

    ``amplitude`` (N,) multiplies the potentials; the other arguments are those of `find_thresholds`.
    """
    potential, wave = _checked(compartments, potential_mV, waveform, dt_ms)
    _checked_method(precision, order)
    amplitude = np.broadcast_to(np.asarray(amplitude, dtype=float), len(potential))
    wanted = np.arange(len(compartments)) if recorded is None else np.asarray(recorded)
    cable = build_cable(compartments, dt_ms, precision, order=order)
    rest_v, rest_state = _rest(compartments, cable, rest_mV)
    axial, lanes = np.asarray(compartments.axial, dtype=float), new_lanes(cable)
    out = np.empty((len(potential), wave.shape[1], len(wanted)))
    wave = np.broadcast_to(wave, (len(potential), wave.shape[1]))
    for start in range(0, len(potential), LANES):
        part = slice(start, start + LANES)
        record(cable, lanes, axial, rest_v, rest_state, potential[part], wave[part], amplitude[part], wanted, out[part])
    return out
