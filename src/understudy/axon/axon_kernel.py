"""Compiled solver of the axon lattice: eight cases at a time, links failing one by one.

A lane is a state machine of its own: it iterates its step until no more links fail, goes to its next step, and takes
the next case when it is done, whatever the other lanes do. Sweeps act on all lanes alike, and every lane computes from
its own numbers only, so the bits of a case depend neither on its lane nor on its lane mates.

All state is flat float64 with the lanes innermost (`understudy.axon.simd_lanes`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from understudy.axon.block_inverse import ENTRIES, invert_block, subtract_apply, tile, transfer_block
from understudy.axon.simd_lanes import (
    LANES,
    exponential,
    greater_bits,
    load,
    magnitude,
    multiply_add,
    splat,
    store,
    where_greater,
)

MAX_ITERATIONS = 200
"""Cap of the iterations within a step; what still fails then is equilibrated in the next step.

Not reached by realistic histories. A cap of 40 was, in a quarter of the cases, and the unbalanced steps alone lowered
the noise floor of the peak microtubule strain from R2 0.995 to 0.92.
"""

_LARGEST_EXPONENT = 60.0


class Lattice(NamedTuple):
    """Geometry of the layouts, G layouts of S stations, W line slots (a multiple of 4), P pairs, up to K links."""

    lines: int  # microtubules and, last, the axolemma
    n_tau: int  # tau pairs; the others are side-arms
    pair_lines: np.ndarray  # (P, 2) lower and higher line
    pair_entry: np.ndarray  # (P, 2) entry of the pair in a packed block, and its mirror in a diagonal tile or -1
    axial: np.ndarray  # (G, S - 1, W) instantaneous stiffness of the elements
    ground: np.ndarray  # (G, S, W) 1 for slots that hold no material, else 0
    coupling: np.ndarray  # (G, S, P - n_tau) elastic axoplasm coupling
    link_start: np.ndarray  # (G, S P + 1)
    link_upper: np.ndarray  # (G, K)
    link_lower: np.ndarray  # (G, K)
    link_threshold: np.ndarray  # (G, K)
    link_count: np.ndarray  # (G, 2) tau links, side-arms
    dx_nm: float
    length_nm: float


class Law(NamedTuple):
    """Step constants of the links (0 tau, 1 side-arm) and the axolemma, standard linear solids with a fixed step.

    With s linear over the step, ``q' = E q + H (s' - s)``, ``E = exp(-dt/T)``, ``H = (1 - E) T/dt``, the force is
    ``f = stiffness s + h`` with ``stiffness = k (1 + beta H)`` and the history ``h = k beta (E q - H s)``, which after
    an accepted step becomes ``decay h + drop s`` with ``decay = E`` and ``drop = k beta H (E - 1)``.
    """

    stiffness: np.ndarray  # (2,) pN/nm
    decay: np.ndarray  # (2,)
    drop: np.ndarray  # (2,) pN/nm
    axolemma_decay: float
    axolemma_drop: float  # beta H (E - 1) / (1 + beta H): of the instantaneous force
    bell: bool
    bell_half_step: float  # k0 dt / 2
    bell_per_force: float  # x_b / kT, 1/pN


class State(NamedTuple):
    """State of the lanes; each array is flat with the lanes innermost."""

    c: np.ndarray  # (S, W) axial stiffness of the element to the right
    ground: np.ndarray  # (S, W)
    coupling: np.ndarray  # (S, P - n_tau)
    u: np.ndarray  # (S, W) displacement
    survivors: np.ndarray  # (S, P) links that hold
    history: np.ndarray  # (S, P) history force of one link
    upper: np.ndarray  # (S, P) slip, or integrated Bell rate, beyond which the next link fails
    lower: np.ndarray  # (S, P) the same on the other side, or the integrated Bell rate up to now
    axolemma: np.ndarray  # (S) history force of the axolemma elements
    inverse: np.ndarray  # (S, tiles, 16) negative inverses of the D_i
    v: np.ndarray  # (S, W)
    row: np.ndarray  # (W) work
    cross: np.ndarray  # (W / 4, 16) work
    scaled: np.ndarray  # (W / 4, 16) work
    accepted: np.ndarray  # (1) 1 where the lane has accepted the displacement that it holds
    peak: np.ndarray  # (4) largest stretch of microtubule and axolemma elements; slip and hazard to be judged
    alive: np.ndarray  # (K, LANES) uint8


class Record(NamedTuple):
    """What a single case leaves behind for verification; arrays of no steps when nothing is recorded."""

    displacement: np.ndarray  # (steps, S, lines) accepted
    before_failure: np.ndarray  # (steps, S, lines) first equilibrium of the step
    survivors: np.ndarray  # (steps, S, P)


@njit(cache=True)
def fail_links(state, lattice, lane, g, place, slip, hazard, is_bell):
    """Remove the links of one lane, station and pair that are beyond their limit; renew what limits the others.

    Returns
    -------
    how many links failed.
    """
    at = place * LANES + lane
    failed = 0
    next_upper, next_lower = np.inf, -np.inf
    for link in range(lattice.link_start[g, place], lattice.link_start[g, place + 1]):
        if state.alive[link, lane] == 0:
            continue
        if is_bell:
            low, high = -np.inf, lattice.link_threshold[g, link]
            fails = hazard > high
        else:
            low, high = lattice.link_lower[g, link], lattice.link_upper[g, link]
            fails = slip > high or slip < low
        if fails:
            state.alive[link, lane] = 0
            failed += 1
        else:
            next_upper = min(next_upper, high)
            next_lower = max(next_lower, low)
    state.survivors[at] -= failed
    state.upper[at] = next_upper
    if not is_bell:
        state.lower[at] = next_lower
    return failed


@njit(cache=True)
def load_case(state, lattice, law, lane, g):
    """Put layout ``g`` at rest into a lane."""
    stations, width = lattice.ground.shape[1], lattice.ground.shape[2]
    pairs = lattice.pair_lines.shape[0]
    arms = pairs - lattice.n_tau
    for i in range(stations):
        state.axolemma[i * LANES + lane] = 0.0
        for m in range(width):
            at = (i * width + m) * LANES + lane
            state.ground[at] = lattice.ground[g, i, m]
            state.u[at] = 0.0
            state.c[at] = lattice.axial[g, i, m] if i < stations - 1 else 0.0
        for p in range(arms):
            state.coupling[(i * arms + p) * LANES + lane] = lattice.coupling[g, i, p]
        for p in range(pairs):
            place = i * pairs + p
            at = place * LANES + lane
            first, last = lattice.link_start[g, place], lattice.link_start[g, place + 1]
            is_bell = law.bell and p < lattice.n_tau
            for link in range(first, last):
                state.alive[link, lane] = 1
            state.survivors[at] = last - first
            state.history[at] = 0.0
            fail_links(state, lattice, lane, g, place, 0.0, 0.0, is_bell)
            if is_bell:
                state.lower[at] = law.bell_half_step


@njit(cache=True, inline="always")
def bell_hazard(law, slip, history, so_far, halves):
    """Integrated off-rate: ``so_far`` plus that many half steps at the rate at the present force, Maxwell included."""
    force = magnitude(multiply_add(splat(law.stiffness[0]), slip, history)) * splat(law.bell_per_force)
    largest = splat(_LARGEST_EXPONENT)
    force = where_greater(force, largest, largest, force)
    return multiply_add(exponential(force), splat(halves * law.bell_half_step), so_far)


@njit(cache=True)
def age_and_grip(state, lattice, law, ends_nm, busy):
    """Age the axolemma's memory by the accepted step, then grip the far end where the step to come puts it."""
    stations, width = lattice.ground.shape[1], lattice.ground.shape[2]
    accept, zero = load(state.accepted, 0), splat(0.0)
    age, drop = splat(law.axolemma_decay), splat(law.axolemma_drop)
    line = lattice.lines - 1
    for e in range(stations - 1):
        at = e * width + line
        h = load(state.axolemma, e)
        force = load(state.c, at) * (load(state.u, at + width) - load(state.u, at))
        store(state.axolemma, e, where_greater(accept, zero, multiply_add(age, h, drop * force), h))
    for lane in range(LANES):
        if busy[lane]:
            for m in range(lattice.lines):
                state.u[((stations - 1) * width + m) * LANES + lane] = ends_nm[lane]


@njit(cache=True)
def forward(state, lattice, law, changed):
    """Links of lanes that accepted a step age by it; then residual, block rows and elimination from left to right.

    Blocks left of station ``changed`` are as they were and keep their inverses.
    """
    stations, width = lattice.ground.shape[1], lattice.ground.shape[2]
    pairs, n_tau, lines = lattice.pair_lines.shape[0], lattice.n_tau, lattice.lines
    blocks = width // 4
    size = tile(blocks, 0) * ENTRIES
    c, u, v, row, inverse = state.c, state.u, state.v, state.row, state.inverse
    accept, zero = load(state.accepted, 0), splat(0.0)
    for i in range(1, stations - 1):
        at = i * width
        block = i * size
        factorise = i >= changed
        if factorise:
            if i == 1:
                for t in range(size):
                    store(inverse, block + t, zero)
            else:
                transfer_block(inverse, block, block - size, c, at - width, blocks)
        for m in range(width):
            left, right = load(c, at - width + m), load(c, at + m)
            here = load(u, at + m)
            r = right * (load(u, at + width + m) - here) - left * (here - load(u, at - width + m))
            if m == lines - 1:
                r = r + (load(state.axolemma, i) - load(state.axolemma, i - 1))
            store(row, m, r)
            if factorise:
                t = block + ENTRIES * tile(m // 4, m // 4) + 5 * (m % 4)
                store(inverse, t, load(inverse, t) + (left + right + load(state.ground, at + m)))
        for p in range(pairs):
            a, b = lattice.pair_lines[p, 0], lattice.pair_lines[p, 1]
            place = i * pairs + p
            kind = 0 if p < n_tau else 1
            s = load(u, at + a) - load(u, at + b)
            h = load(state.history, place)
            n = load(state.survivors, place)
            ke = splat(law.stiffness[kind])
            if law.bell and kind == 0:
                so_far = load(state.lower, place)
                store(state.lower, place, where_greater(accept, zero, bell_hazard(law, s, h, so_far, 2.0), so_far))
            aged = multiply_add(splat(law.decay[kind]), h, splat(law.drop[kind]) * s)
            h = where_greater(accept, zero, aged, h)
            store(state.history, place, h)
            f = n * multiply_add(ke, s, h)
            gain = n * ke
            if kind == 1:
                elastic = load(state.coupling, i * (pairs - n_tau) + p - n_tau)
                f = multiply_add(elastic, s, f)
                gain = gain + elastic
            store(row, a, load(row, a) - f)
            store(row, b, load(row, b) + f)
            if factorise:
                for line in (a, b):
                    t = block + ENTRIES * tile(line // 4, line // 4) + 5 * (line % 4)
                    store(inverse, t, load(inverse, t) + gain)
                for k in range(2):
                    if lattice.pair_entry[p, k] >= 0:
                        t = block + lattice.pair_entry[p, k]
                        store(inverse, t, load(inverse, t) - gain)
        if factorise:
            invert_block(inverse, block, blocks, state.cross, state.scaled)
        for m in range(width):
            if i > 1:
                store(row, m, multiply_add(load(c, at - width + m), load(v, at - width + m), load(row, m)))
            store(v, at + m, zero)
        subtract_apply(v, at, inverse, block, row, 0, blocks)


@njit(cache=True)
def backward(state, lattice, law, busy, layout_of_lane, failed_now, failed_total):
    """Displacements from right to left; on the way the largest stretches and the links beyond their limit.

    Returns
    -------
    leftmost station where a link failed, or the number of stations.
    """
    stations, width = lattice.ground.shape[1], lattice.ground.shape[2]
    pairs, n_tau, axolemma = lattice.pair_lines.shape[0], lattice.n_tau, lattice.lines - 1
    blocks = width // 4
    size = tile(blocks, 0) * ENTRIES
    c, u, v, row = state.c, state.u, state.v, state.row
    zero = splat(0.0)
    largest_mt, largest_axolemma = zero, zero
    changed = stations
    for i in range(stations - 2, -1, -1):
        at = i * width
        if i > 0:
            if i < stations - 2:
                subtract_apply(v, at, state.inverse, i * size, row, 0, blocks)
            for m in range(width):
                x = load(v, at + m)
                store(u, at + m, load(u, at + m) + x)
                store(row, m, load(c, at - width + m) * x)
        for m in range(axolemma):
            stretch = load(u, at + width + m) - load(u, at + m)
            stretch = where_greater(load(c, at + m), zero, stretch, zero)
            largest_mt = where_greater(stretch, largest_mt, stretch, largest_mt)
        stretch = load(u, at + width + axolemma) - load(u, at + axolemma)
        largest_axolemma = where_greater(stretch, largest_axolemma, stretch, largest_axolemma)
        if i == 0:
            break
        for p in range(pairs):
            place = i * pairs + p
            s = load(u, at + lattice.pair_lines[p, 0]) - load(u, at + lattice.pair_lines[p, 1])
            is_bell = law.bell and p < n_tau
            hazard = s
            if is_bell:
                hazard = bell_hazard(law, s, load(state.history, place), load(state.lower, place), 1.0)
                bits = greater_bits(hazard, load(state.upper, place))
            else:
                bits = greater_bits(s, load(state.upper, place)) | greater_bits(load(state.lower, place), s)
            if bits:
                store(state.peak, 2, s)
                store(state.peak, 3, hazard)
                for lane in range(LANES):
                    if (bits >> lane) & 1 and busy[lane]:
                        failed = fail_links(
                            state, lattice, lane, layout_of_lane[lane], place, state.peak[2 * LANES + lane],
                            state.peak[3 * LANES + lane], is_bell,
                        )  # fmt: skip
                        failed_now[lane] += failed
                        changed = i
                        failed_total[0 if p < n_tau else 1, lane] += failed
    store(state.peak, 0, largest_mt)
    store(state.peak, 1, largest_axolemma)
    return changed


@njit(cache=True)
def copy_lane(source, width, lane, target, step):
    """Copy one lane of a (stations, width) field into row ``step`` of a record."""
    for i in range(target.shape[1]):
        for m in range(target.shape[2]):
            target[step, i, m] = source[(i * width + m) * LANES + lane]


@njit(cache=True)
def run_cases(end_strain, case_profile, case_layout, lattice, law, state, record, outputs, capped):
    """Run all cases.

    Parameters
    ----------
    end_strain : (profiles, steps) end strain at each step.
    case_profile, case_layout : (cases,) which history and which layout.
    lattice, law, state, record : see there.
    outputs : (cases, 4) peak microtubule strain, peak axolemma strain, failed tau, failed side-arms; zeros on entry.
    capped : (cases,) steps whose iteration was capped; zeros on entry.

    Returns
    -------
    sweeps, factorisations : done for all lanes together.
    """
    width = lattice.ground.shape[2]
    pairs = lattice.pair_lines.shape[0]
    n_steps, n_cases = end_strain.shape[1], case_profile.shape[0]
    recording = record.displacement.shape[0] > 0
    case = np.zeros(LANES, dtype=np.int64)
    layout = np.zeros(LANES, dtype=np.int64)
    busy = np.zeros(LANES, dtype=np.bool_)
    step = np.zeros(LANES, dtype=np.int64)
    iteration = np.zeros(LANES, dtype=np.int64)
    failed_now = np.zeros(LANES, dtype=np.int64)
    failed_total = np.zeros((2, LANES), dtype=np.int64)
    ends_nm = np.zeros(LANES)
    next_case, remaining = 0, n_cases
    sweeps, factorisations = 0, 0
    changed = 1
    while remaining > 0:
        for lane in range(LANES):
            if not busy[lane] and next_case < n_cases:
                case[lane], layout[lane] = next_case, case_layout[next_case]
                next_case += 1
                busy[lane], step[lane], iteration[lane], state.accepted[lane] = True, 0, 0, 0.0
                failed_total[:, lane] = 0
                load_case(state, lattice, law, lane, layout[lane])
                changed = 1
            if busy[lane]:
                ends_nm[lane] = end_strain[case_profile[case[lane]], step[lane]] * lattice.length_nm
        sweeps += 1
        if changed < lattice.ground.shape[1]:
            factorisations += 1
        age_and_grip(state, lattice, law, ends_nm, busy)
        forward(state, lattice, law, changed)
        failed_now[:] = 0
        changed = backward(state, lattice, law, busy, layout, failed_now, failed_total)
        for lane in range(LANES):
            state.accepted[lane] = 0.0
            if not busy[lane]:
                continue
            if recording and iteration[lane] == 0:
                copy_lane(state.u, width, lane, record.before_failure, step[lane])
            if failed_now[lane] > 0:
                iteration[lane] += 1
                if iteration[lane] < MAX_ITERATIONS:
                    continue
                capped[case[lane]] += 1
            if recording:
                copy_lane(state.u, width, lane, record.displacement, step[lane])
                copy_lane(state.survivors, pairs, lane, record.survivors, step[lane])
            out = outputs[case[lane]]
            out[0] = max(out[0], state.peak[lane] / lattice.dx_nm)
            out[1] = max(out[1], state.peak[LANES + lane] / lattice.dx_nm)
            state.accepted[lane] = 1.0
            iteration[lane] = 0
            step[lane] += 1
            if step[lane] == n_steps:
                out[2] = failed_total[0, lane] / lattice.link_count[layout[lane], 0]
                out[3] = failed_total[1, lane] / lattice.link_count[layout[lane], 1]
                state.accepted[lane] = 0.0
                busy[lane] = False
                remaining -= 1
    return sweeps, factorisations
