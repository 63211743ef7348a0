"""Branched cable with ion channels for sixteen stimuli at a time: one step, and many threshold searches.

Implicit Euler in NEURON's order: conductances from the gates at t, membrane potential at t + dt from the tree solve,
then the gates move at the new potential. Here the gates' move opens the next step instead of closing this one, where
the potential is read anyway; at rest that move is none. At order 2 the backward difference reaches back two steps
(BDF2) and the gates move at the extrapolated potential in the middle of the step: the same work, an error of second
order in the step, and as stiffly damped as Euler.

The tree is eliminated from the tips to the root (Hines 1984) with the lanes innermost: what a compartment hands to its
parent stays in registers along unbranched stretches and goes through small sums at branch points. Only compartments
with channels have gates; they are grouped by the set of their channels, each set with its own rate table.

The state between calls lies in arrays (compartment, lane): another device can take `advance` over as it stands.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from understudy.tms.simd_lanes import (
    LANES,
    crossing_bits,
    load,
    lookup4,
    lookup8,
    multiply_add,
    splat,
    store,
    table_place,
)


@njit(cache=True, inline="always")
def _gates(cable, lanes):
    """Move every gate by one step at the present potential; conductance and current of the channels."""
    place = cable.place
    for k in range(len(cable.compartment)):
        s = cable.set_of[k]
        stride = cable.stride[s]
        i = cable.compartment[k]
        v = load(lanes.v, i)
        if cable.order == 2:
            # The potential in the middle of the step that begins.
            v = v + splat(place[5]) * (v - load(lanes.before, i))
        row, part = lanes.table_row, lanes.table_part
        table_place(v, place[0], place[1], place[2], stride, row, part)
        start = cable.table_start[s]
        for tile in range(cable.tile_start[s], cable.tile_start[s + 1]):
            column = cable.tile_column[tile]
            if cable.tile_width[tile] == 8:
                lookup8(cable.table, start + column, stride, row, part, lanes.rates, column)
            else:
                lookup4(cable.table, start + column, stride, row, part, lanes.rates, column)
        state = cable.state_of[k]
        for g in range(cable.gates[s]):
            x = load(lanes.state, state + g)
            change = load(lanes.rates, 2 * g + 1) - load(lanes.rates, 2 * g) * x
            store(lanes.state, state + g, x + change)
        first = cable.channel_start[s]
        density = cable.density_of[k]
        conductance = splat(place[3])
        current = conductance
        for c in range(first, cable.channel_start[s + 1]):
            m = load(lanes.state, state + cable.channel_m[c])
            power = cable.channel_power[c]
            open_share = m
            if power == 3:
                open_share = m * m * m
            elif power == 4:
                square = m * m
                open_share = square * square
            elif power == 2:
                open_share = m * m
            if cable.channel_h[c] >= 0:
                open_share = open_share * load(lanes.state, state + cable.channel_h[c])
            channel = open_share * splat(cable.density[density + c - first])
            conductance = conductance + channel
            current = multiply_add(channel, splat(cable.channel_reversal[c]), current)
        store(lanes.conductance, k, conductance)
        store(lanes.current, k, current)


@njit(cache=True, inline="always")
def _eliminate(cable, lanes):
    """Sweep from the tips to the root."""
    zero = splat(cable.place[3])
    scale = load(lanes.scale, 0)
    from_child, right_from_child = zero, zero
    for i in range(len(cable.parent) - 1, -1, -1):
        diagonal = splat(cable.fixed[i]) - from_child
        v = load(lanes.v, i)
        if cable.order == 2:
            v = v + v - splat(cable.place[5]) * load(lanes.before, i)
        right = multiply_add(v, splat(cable.capacity[i]), splat(cable.leak[i])) + right_from_child
        right = multiply_add(scale, load(lanes.drive, i), right)
        b = cable.branch[i]
        if b >= 0:
            diagonal = diagonal - load(lanes.sums, 2 * b)
            right = right + load(lanes.sums, 2 * b + 1)
            store(lanes.sums, 2 * b, zero)
            store(lanes.sums, 2 * b + 1, zero)
        k = cable.active[i]
        if k >= 0:
            diagonal = diagonal + load(lanes.conductance, k)
            right = right + load(lanes.current, k)
        axial = splat(cable.axial[i])
        inverse = splat(cable.place[4]) / diagonal
        gain = axial * inverse
        store(lanes.gain, i, gain)
        store(lanes.offset, i, right * inverse)
        to_parent, right_to_parent = gain * axial, gain * right
        from_child, right_from_child = zero, zero
        if i > 0:
            p = cable.parent[i]
            if p == i - 1:
                from_child, right_from_child = to_parent, right_to_parent
            else:
                b = cable.branch[p]
                store(lanes.sums, 2 * b, load(lanes.sums, 2 * b) + to_parent)
                store(lanes.sums, 2 * b + 1, load(lanes.sums, 2 * b + 1) + right_to_parent)


@njit(cache=True, inline="always")
def _substitute(cable, lanes):
    """Sweep from the root to the tips: the new potential; crossings of 0 mV are counted."""
    lanes.begun[:] = lanes.count
    v = load(lanes.offset, 0)
    for i in range(len(cable.parent)):
        if i > 0:
            p = cable.parent[i]
            if p != i - 1:
                v = load(lanes.v, p)
            v = multiply_add(v, load(lanes.gain, i), load(lanes.offset, i))
        before = load(lanes.v, i)
        bits = crossing_bits(before, v)
        if cable.order == 2:
            store(lanes.before, i, before)
        store(lanes.v, i, v)
        if bits != 0 and cable.area[i]:
            for l in range(LANES):
                if (bits >> l) & 1:
                    if lanes.begun[l] == 0:
                        # Neighbours may cross in one step: the one that is highest at its end was first.
                        height = lanes.v[i * LANES + l]
                        if lanes.count[l] == 0 or height > lanes.first_mV[l]:
                            lanes.first_site[l], lanes.first_mV[l] = i, height
                    lanes.count[l] += 1


@njit(cache=True)
def advance(cable, lanes):
    """One time step of all lanes with the drive at ``lanes.scale``."""
    _gates(cable, lanes)
    _eliminate(cable, lanes)
    _substitute(cable, lanes)


@njit(cache=True)
def _set_rest(lanes, lane, rest_v, rest_state):
    for i in range(len(rest_v)):
        lanes.v[i * LANES + lane] = rest_v[i]
        lanes.before[i * LANES + lane] = rest_v[i]
    for i in range(len(rest_state)):
        lanes.state[i * LANES + lane] = rest_state[i]
    lanes.count[lane] = 0
    lanes.first_site[lane] = -1


@njit(cache=True)
def _set_drive(cable, lanes, lane, axial, potential):
    """Equivalent injected currents of a case: axial conductance times differences of the potential outside."""
    for i in range(len(potential)):
        lanes.drive[i * LANES + lane] = 0.0
    for i in range(1, len(potential)):
        p = cable.parent[i]
        current = axial[i] * (potential[p] - potential[i])
        lanes.drive[i * LANES + lane] += current
        lanes.drive[p * LANES + lane] -= current


@njit(cache=True)
def record(cable, lanes, axial, rest_v, rest_state, potential, waveform, amplitude, wanted, out):
    """Potentials (cases <= 16, steps, wanted compartments) of one run of each case, written to ``out``."""
    cases = len(potential)
    for lane in range(LANES):
        _set_rest(lanes, lane, rest_v, rest_state)
        if lane < cases:
            _set_drive(cable, lanes, lane, axial, potential[lane])
    for n in range(waveform.shape[1]):
        for lane in range(cases):
            lanes.scale[lane] = amplitude[lane] * waveform[lane, n]
        advance(cable, lanes)
        for lane in range(cases):
            for k in range(len(wanted)):
                out[lane, n, k] = lanes.v[wanted[k] * LANES + lane]


@njit(cache=True)
def search(
    cable, lanes, axial, rest_v, rest_state, potential, waveform, guess, guessed, tolerance, limit, crossings,
    threshold, site, first_step, runs,
):  # fmt: skip
    """Bisect the threshold of every case; lanes take the next case as soon as they are free.

    Until both sides are known the amplitude moves by the factor ``stride`` (2, or from 1.05 upwards where a guess is
    given); then the interval is halved. A run ends as soon as it is known to fire. ``threshold`` stays NaN where
    ``limit`` does not excite.
    """
    cases, steps = len(potential), waveform.shape[1]
    case = np.full(LANES, -1, dtype=np.int64)
    low, high = np.zeros(LANES), np.zeros(LANES)
    amplitude, stride = np.zeros(LANES), np.zeros(LANES)
    step = np.zeros(LANES, dtype=np.int64)
    spike_step = np.zeros(LANES, dtype=np.int64)
    next_case, busy = 0, 0
    for lane in range(LANES):
        _set_rest(lanes, lane, rest_v, rest_state)
        lanes.scale[lane] = 0.0
        for i in range(len(rest_v)):
            lanes.drive[i * LANES + lane] = 0.0
        if next_case < cases:
            case[lane] = next_case
            next_case += 1
            busy += 1
            _set_drive(cable, lanes, lane, axial, potential[case[lane]])
            stride[lane] = 1.05 if guessed else 2.0
            amplitude[lane] = min(guess[case[lane]] * (1.05 if guessed else 1.0), limit)
    while busy > 0:
        for lane in range(LANES):
            if case[lane] >= 0:
                row = case[lane] if len(waveform) > 1 else 0
                lanes.scale[lane] = amplitude[lane] * waveform[row, step[lane]]
        advance(cable, lanes)
        for lane in range(LANES):
            n = case[lane]
            if n < 0:
                continue
            step[lane] += 1
            if lanes.count[lane] > 0 and spike_step[lane] == 0:
                spike_step[lane] = step[lane]
            fired = lanes.count[lane] >= crossings
            if not fired and step[lane] < steps:
                continue
            runs[n] += 1
            done = False
            if fired:
                high[lane] = amplitude[lane]
                site[n], first_step[n] = lanes.first_site[lane], spike_step[lane]
            else:
                low[lane] = amplitude[lane]
                done = high[lane] == 0.0 and low[lane] >= limit
            if high[lane] > 0.0 and low[lane] > 0.0:
                done = high[lane] - low[lane] <= tolerance * high[lane]
                amplitude[lane] = 0.5 * (low[lane] + high[lane])
            elif fired:
                # A guess first tries 5 % above, then 5 % below; only then the strides grow.
                amplitude[lane] = 0.95 * guess[n] if guessed and runs[n] == 1 else high[lane] / stride[lane]
                done = amplitude[lane] < 1e-6 * limit
                stride[lane] = min(2.0, stride[lane] * stride[lane])
            else:
                stride[lane] = min(2.0, stride[lane] * stride[lane])
                amplitude[lane] = min(low[lane] * stride[lane], limit)
            if done:
                if high[lane] > 0.0 and low[lane] > 0.0:
                    threshold[n] = high[lane]
                low[lane], high[lane] = 0.0, 0.0
                case[lane] = -1
                busy -= 1
                lanes.scale[lane] = 0.0
                if next_case < cases:
                    n = next_case
                    case[lane] = n
                    next_case += 1
                    busy += 1
                    _set_drive(cable, lanes, lane, axial, potential[n])
                    stride[lane] = 1.05 if guessed else 2.0
                    amplitude[lane] = min(guess[n] * (1.05 if guessed else 1.0), limit)
            step[lane], spike_step[lane] = 0, 0
            _set_rest(lanes, lane, rest_v, rest_state)
