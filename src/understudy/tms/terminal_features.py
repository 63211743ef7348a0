"""What the surrogate is given: the axon terminals that a field depolarises most, and how each of them is built.

A terminal's linear polarisation under a pulse comes from one matrix product with the quasi-potentials
(`understudy.tms.linear_response`). Its course in time decides at which peak a lone node would fire
(`understudy.tms.local_excitation`), its course along the branch says how much current the terminal loses upstream, and
static descriptors how large and how myelinated it is. Nothing here names a cell or a pulse.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numba import njit

from understudy.errors import InputError
from understudy.tms.biophysics import CELL_TYPES
from understudy.tms.compartments import COMPARTMENT_KINDS, Compartments
from understudy.tms.linear_response import current_response, linear_response
from understudy.tms.local_excitation import critical_polarisation
from understudy.tms.threshold_engine import resting_state


class _Column(NamedTuple):
    """A named quantity with its unit."""

    name: str
    unit: str


TERMINALS = 8
"""Terminals that are kept of each case. In 97 to 100 % of cases one of the first four fires."""

WEAKEST = 0.6
"""A terminal with less than this of the largest polarisation is left out: critical polarisations differ by less."""

SAMPLE_MS = tuple(round(0.005 * step, 3) for step in (*range(1, 41), *range(42, 89, 2)))
"""Times at which polarisations are known. Where a pulse is cut off the polarisation falls by a tenth within 5 us, so
coarser samples would miss peaks, and each pulse's by another amount. TMS pulses end within 0.44 ms."""

UPSTREAM_UM = (30.0, 80.0, 160.0, 320.0)
"""Distances from a terminal towards the soma at which the branch is looked at: up to a few internodes."""

IMPEDANCE_MS = (0.02, 0.44)
"""Durations of the steps of current whose polarisation gives the early and the late input impedance."""

_MYELIN, _NODE = COMPARTMENT_KINDS.index("myelin"), COMPARTMENT_KINDS.index("node")

CHANNELS = (
    _Column("polarisation", "mV per V/m"),
    _Column("local_critical_polarisation", "mV"),
    *(_Column(f"upstream_{distance:.0f}um", "1") for distance in UPSTREAM_UM),
    _Column("log_diameter", "log um"),
    _Column("log_membrane", "log um2"),
    _Column("log_branch_length", "log um"),
    _Column("internode_length", "um"),
    _Column("myelinated_share", "1"),
    _Column("path", "mm"),
    _Column("log_impedance_early", "log Mohm"),
    _Column("log_impedance_late", "log Mohm"),
)
"""Channels of `terminal_inputs`: the largest polarisation in time, the one at which a lone node would fire,
polarisations upstream at that time (or one close to it) over the first, and the static descriptors."""

_NEAR_UM = 100.0
_SHARE_UM = 200.0
# Courses with less than this of the largest one's amplitude are left out.
_COURSE_TOLERANCE = 3e-4
# Times at which the places upstream are known; a peak between two takes the nearer one.
_UPSTREAM_TIMES = 12
# Places whose responses are held in memory together.
_PLACES = 64
# Cases that are worked on together.
_BLOCK = 256


@dataclass(frozen=True)
class TerminalProbes:
    """The axon terminals of a cell and the places upstream of them.

    Attributes
    ----------
    probe : (Q, 1 + U) compartments: the terminal, then those nearest to `UPSTREAM_UM` along its way to the soma.
    descriptors : (Q, D) static descriptors, the last D of `CHANNELS` but for the impedances.
    """

    probe: np.ndarray
    descriptors: np.ndarray


def find_probes(compartments: Compartments) -> TerminalProbes:
    """Places upstream of each axon terminal, and what its branch looks like."""
    parent, path = compartments.parent, compartments.path
    children = np.bincount(parent[1:], minlength=len(parent))
    membrane = compartments.area * compartments.capacitance
    probe = np.empty((len(compartments.terminal), 1 + len(UPSTREAM_UM)), dtype=np.int64)
    rows = []
    for number, terminal in enumerate(compartments.terminal):
        way = [int(terminal)]
        while parent[way[-1]] >= 0:
            way.append(int(parent[way[-1]]))
        way = np.array(way)
        distance = path[terminal] - path[way]
        probe[number, 0] = terminal
        real = np.flatnonzero(compartments.area[way] > 0)
        for place, wanted in enumerate(UPSTREAM_UM):
            probe[number, 1 + place] = way[real[np.argmin(np.abs(distance[real] - wanted))]]
        branch = np.flatnonzero(children[way] > 1)
        nodes = np.flatnonzero((compartments.kind[way] == _NODE) & (distance > 2.0))
        near, local = distance <= _NEAR_UM, distance <= _SHARE_UM
        myelin = (compartments.kind[way] == _MYELIN) & local
        rows.append(
            [
                np.log(compartments.diameter[terminal]),
                np.log(membrane[way[near]].sum()),
                np.log(max(distance[branch[0]] if len(branch) else distance[-1], 1.0)),
                min(distance[nodes[0]] if len(nodes) else distance[-1], 500.0),
                myelin.sum() / max(1, (local & (compartments.area[way] > 0)).sum()),
                1e-3 * path[terminal],
            ]
        )
    return TerminalProbes(probe, np.array(rows))


@dataclass(frozen=True)
class TerminalResponse:
    """Linear response of a cell's terminals to one pulse.

    Attributes
    ----------
    course : (r, T) float32 courses in time at `SAMPLE_MS`, of which all polarisations are mixtures.
    mixture : (M, Q r) float32: quasi-potentials times this are the shares of the courses at the terminals.
    upstream : (P, Q, U, M) float32: polarisation upstream of each terminal at a few times, needed for a few terminals
        of a case only.
    upstream_of : (T,) number of the time among those that is nearest to a sample.
    static : (Q, S) float32 descriptors, with the impedances.
    node : (Q, 3) resting potential in mV, capacitance in nF and resistance in Mohm of the terminals.
    """

    course: np.ndarray
    mixture: np.ndarray
    upstream: np.ndarray
    upstream_of: np.ndarray
    static: np.ndarray
    node: np.ndarray


def terminal_response(
    compartments: Compartments, waveform: np.ndarray, dt_ms: float, *, rest_mV: np.ndarray | None = None
) -> TerminalResponse:
    """How the terminals of a cell answer to a pulse of any field, compressed in time.

    Membranes smooth a pulse so much that a few courses make up all polarisations.

    Parameters
    ----------
    waveform : (S,) value of the pulse in each step, at least 0.44 ms long.
    rest_mV : (M,) potential at rest, where it is known.

    Raises
    ------
    InputError
        If the waveform is too short.
    """
    samples = np.round(np.array(SAMPLE_MS) / dt_ms).astype(np.int64)
    if len(waveform) < samples[-1]:
        raise InputError(
            f"waveform: found {len(waveform)} steps of {dt_ms} ms; accepted are at least {samples[-1]}, "
            f"{SAMPLE_MS[-1]} ms"
        )
    probes = find_probes(compartments)
    rest = resting_state(compartments) if rest_mV is None else rest_mV
    terminal = probes.probe[:, 0]

    def respond(places: np.ndarray) -> np.ndarray:
        return linear_response(compartments, waveform, dt_ms, samples, places, rest_mV=rest, dtype=np.float32)

    response = respond(terminal)
    flat = response.reshape(len(samples), -1)
    values, vectors = np.linalg.eigh((flat @ flat.T).astype(np.float64))
    course = vectors[:, values > _COURSE_TOLERANCE**2 * values[-1]].T.astype(np.float32)
    mixture = np.tensordot(course, response, axes=1).transpose(2, 1, 0)
    times = _frequent_peaks(response, compartments.centre)
    places, number = np.unique(probes.probe[:, 1:], return_inverse=True)
    upstream = np.empty((len(times), len(places), len(compartments)), dtype=np.float32)
    for start in range(0, len(places), _PLACES):
        part = slice(start, start + _PLACES)
        upstream[:, part] = respond(places[part])[times]
    steps = np.round(np.array(IMPEDANCE_MS) / dt_ms).astype(np.int64)
    charged = current_response(compartments, np.ones(steps[-1]), dt_ms, steps, terminal, rest_mV=rest)
    impedance = charged[:, np.arange(len(terminal)), terminal].T
    return TerminalResponse(
        course,
        np.ascontiguousarray(mixture.reshape(len(compartments), -1)),
        np.ascontiguousarray(upstream[:, number.reshape(len(terminal), -1)]),
        np.abs(np.arange(len(samples))[:, None] - times).argmin(axis=1),
        np.concatenate([probes.descriptors, np.log(impedance)], axis=1).astype(np.float32),
        # A brief current charges the capacitance, a long one meets the resistance.
        np.stack([rest[terminal], IMPEDANCE_MS[0] / impedance[:, 0], impedance[:, 1]], axis=1),
    )


def _frequent_peaks(response: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Samples, ascending and at most `_UPSTREAM_TIMES`: those at which terminals peak in uniform fields from all sides,
    and others that leave no wide gaps.

    ``response`` (T, Q, M) of the terminals, ``centre`` (M, 3) of the compartments.
    """
    sides = np.array([side for side in np.ndindex(3, 3, 3) if side != (1, 1, 1)]) - 1.0
    potential = -1e-3 * centre @ (sides / np.linalg.norm(sides, axis=1, keepdims=True)).T
    polarisation = response @ potential.astype(np.float32)
    peak = polarisation.max(axis=0)
    strong = peak >= WEAKEST * peak.max(axis=0)
    found = np.sort(polarisation.argmax(axis=0)[strong])
    times = np.unique(np.quantile(found, np.linspace(0, 1, _UPSTREAM_TIMES // 2), method="nearest")).tolist()
    while len(times) < _UPSTREAM_TIMES and np.diff([-1, *times, len(response)]).max() > 2:
        edges = np.array([-1, *times, len(response)])
        widest = np.diff(edges).argmax()
        times = sorted([*times, int(edges[widest] + edges[widest + 1]) // 2])
    return np.array(times)


def terminal_inputs(response: TerminalResponse, potential: np.ndarray) -> np.ndarray:
    """Channels (N, F, K) float32 of the most depolarised terminals for quasi-potentials (N, M) in mV per V/m.

    Strongest first, at most `TERMINALS`. A cell with fewer terminals leaves zeros, which the network takes for none.
    """
    found = np.zeros((len(potential), len(CHANNELS), TERMINALS), dtype=np.float32)
    for start in range(0, len(potential), _BLOCK):
        part = slice(start, start + _BLOCK)
        found[part] = _inputs_of_block(response, np.asarray(potential[part], dtype=np.float32))
    return found


def _inputs_of_block(response: TerminalResponse, potential: np.ndarray) -> np.ndarray:
    count = len(potential)
    shares = (potential @ response.mixture).reshape(count, len(response.static), -1)
    kept = min(TERMINALS, len(response.static))
    chosen = np.argsort(-_peaks(shares, response.course), axis=1, kind="stable")[:, :kept]
    polarisation = np.take_along_axis(shares, chosen[:, :, None], axis=1) @ response.course
    time = polarisation.argmax(axis=2)
    peak = np.take_along_axis(polarisation, time[:, :, None], axis=2)[:, :, 0]
    there = (peak > 0) & (peak >= WEAKEST * peak[:, :1])
    scale = 1 / np.where(there, peak, 1)
    critical = critical_polarisation(
        np.where(there[:, :, None], polarisation, 0), SAMPLE_MS, *response.node[chosen].T.swapaxes(1, 2)
    )
    upstream = _upstream(response.upstream, potential, chosen, response.upstream_of[time], there)
    channels = np.concatenate(
        [
            peak[:, None],
            critical[:, None].astype(np.float32),
            upstream * scale[:, None],
            response.static[chosen].transpose(0, 2, 1),
        ],
        axis=1,
    )
    found = np.zeros((count, len(CHANNELS), TERMINALS), dtype=np.float32)
    found[:, :, :kept] = np.where(there[:, None], channels, 0)
    return found


@njit(cache=True, fastmath={"nnan", "ninf", "nsz", "reassoc", "contract"})
def _peaks(shares, course):
    """Largest polarisation in time (N, Q) of courses (r, T) mixed by shares (N, Q, r)."""
    cases, terminals, rank = shares.shape
    samples = course.shape[1]
    found = np.empty((cases, terminals), dtype=np.float32)
    mixed = np.empty(samples, dtype=np.float32)
    for n in range(cases):
        for q in range(terminals):
            mixed[:] = 0
            for r in range(rank):
                share = shares[n, q, r]
                for t in range(samples):
                    mixed[t] += share * course[r, t]
            largest = mixed[0]
            for t in range(samples):
                largest = max(largest, mixed[t])
            found[n, q] = largest
    return found


@njit(cache=True, fastmath={"reassoc", "contract"})
def _upstream(response, potential, chosen, time, there):
    """Polarisation (N, U, K) upstream of the chosen terminals, (N, K), at these times (N, K) of the response."""
    cases, terminals = chosen.shape
    places, count = response.shape[2:]
    found = np.zeros((cases, places, terminals), dtype=np.float32)
    for n in range(cases):
        for k in range(terminals):
            if there[n, k]:
                for place in range(places):
                    total = np.float32(0)
                    for m in range(count):
                        total += response[time[n, k], chosen[n, k], place, m] * potential[n, m]
                    found[n, place, k] = total
    return found


def lone_terminal_threshold(inputs: np.ndarray, limit: float) -> np.ndarray:
    """Amplitude (N,) in V/m at which the first terminal would fire if it stood alone, at most ``limit``.

    Within some 5 % of the threshold: where the engine's search begins, not what it finds.
    """
    polarisation, critical = np.asarray(inputs[:, 0], dtype=float), np.asarray(inputs[:, 1], dtype=float)
    there = polarisation > 0
    alone = np.where(there, critical / np.where(there, polarisation, 1.0), np.inf)
    return np.minimum(alone.min(axis=1), limit)


CONTEXT = tuple(_Column(f"is_{name}", "1") for name in CELL_TYPES)
"""Context of a case: its type of cell, whose channels it has. The pulse is in the terminals' own channels."""


def context_of(cell_type: str) -> np.ndarray:
    """Context scalars (C,) of a cell of this type, in the order of `CONTEXT`.

    Raises
    ------
    InputError
        If the type is unknown.
    """
    if cell_type not in CELL_TYPES:
        raise InputError(f"cell type: found {cell_type!r}; accepted are {', '.join(CELL_TYPES)}")
    return np.array([float(name == cell_type) for name in CELL_TYPES])
