"""Compiled gates with rates from a network or from a closed form, for all nodes of a block of cables.

A row is a float64 or eight lanes, as in `understudy.calcium.cable_kernel`. Updates are those of
`understudy.calcium.rate_network`; the tests hold the two against each other.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from understudy.calcium.cable_kernel import (
    advance_concentrations,
    advance_concentrations_euler,
    holds,
    observe,
    sample,
)
from understudy.calcium.lane_functions import chosen, exp_of, log_of
from understudy.calcium.rate_network import ACTIVATION_KNEE, LOG_RATE_RANGE
from understudy.calcium.vector_lanes import LANES, fill_like, larger, load, pick, root_of, smaller, store

SINGLE, CHAIN = range(2)
NETWORK, ANALYTIC = range(2)
EXPONENTIAL, SDIRK, EULER = range(3)

(
    GATING, SOURCE, FILTERED, SEES_GATES, UPDATE, FIRST, SECOND, INPUTS, N_RATES, CELLS, WATCH_EVERY,
) = range(11)  # fmt: skip
WHOLE_FIELDS = 11
"""Entries of the integers that say what a channel is: gates, origin of the rates, whether there is a filter and whether
rates see the gates, form of the update, widths of the hidden layers, number of inputs and of rates, cells of the domain
per input, and how many steps lie between two looks at the domain (0: none)."""

CENTRE, SCALE, FILTER_TIME, OPEN_SHARE, CONSTANTS = range(5)
"""Entries of a channel's numbers: middle of ln u and inverse of half its range, time constant of the filter, share of
the channels that take part in the gate, and from there on the constants of `analytic_rates`."""

LOOKED, OUTSIDE, FIRST_STEP, FIRST_NODE, FIRST_LANE = range(5)
MONITOR_FIELDS = 5
"""Entries of a block's monitor: node-steps looked at, those outside of the training's domain, and the first of them."""

DOMAIN_EDGE = 1.0
"""Ends of the domain's grid in scaled inputs, in both directions."""

_LOWEST, _HIGHEST = LOG_RATE_RANGE
_CUBE = 4.0 / 27.0
_SDIRK = 1.0 - np.sqrt(0.5)

_compile = njit(cache=True, error_model="numpy", fastmath={"contract"})


@_compile
def squashed(x):
    """`understudy.calcium.rate_network.squash`."""
    knee = x * 0.0 + ACTIVATION_KNEE
    x = larger(smaller(x, knee), x * 0.0 - ACTIVATION_KNEE)
    return x - _CUBE * x * x * x


@_compile
def layer(work, given, n_given, weights, at, units, result):
    """A hidden layer, four units at a time so that one's sum need not wait for the other's.

    Parameters
    ----------
    work : rows; the ``n_given`` from row ``given`` on are read, the ``units`` from row ``result`` on written.
    weights : biases (units) from entry ``at`` on, then weights (n_given, units).
    units : a multiple of four.
    """
    for j in range(at, at + units, 4):
        s0, s1 = fill_like(work, weights[j]), fill_like(work, weights[j + 1])
        s2, s3 = fill_like(work, weights[j + 2]), fill_like(work, weights[j + 3])
        k = j
        for i in range(given, given + n_given):
            k += units
            x = load(work, i)
            s0, s1 = s0 + x * weights[k], s1 + x * weights[k + 1]
            s2, s3 = s2 + x * weights[k + 2], s3 + x * weights[k + 3]
        store(work, result + j - at, squashed(s0))
        store(work, result + j - at + 1, squashed(s1))
        store(work, result + j - at + 2, squashed(s2))
        store(work, result + j - at + 3, squashed(s3))


RATES, INPUT_ROWS, HIDDEN_ROWS = 0, 4, 8
"""Rows of the work space: rates of one node, its scaled inputs, its hidden units."""


@_compile
def network_rates(work, whole, weights):
    """Rates of one node, written into the work space, from the scaled inputs there.

    ``weights``: both hidden layers as `layer` takes them, then biases (R), hidden weights (second, R) and linear
    weights (I, R) of the rates.
    """
    n_inputs, first, second, n_rates = whole[INPUTS], whole[FIRST], whole[SECOND], whole[N_RATES]
    layer(work, INPUT_ROWS, n_inputs, weights, 0, first, HIDDEN_ROWS)
    at = (n_inputs + 1) * first
    layer(work, HIDDEN_ROWS, first, weights, at, second, HIDDEN_ROWS + first)
    at += (first + 1) * second
    low, high = fill_like(work, _LOWEST), fill_like(work, _HIGHEST)
    for j in range(0, n_rates, 2):
        s0, s1 = fill_like(work, weights[at + j]), fill_like(work, weights[at + j + 1])
        t0 = t1 = fill_like(work, 0.0)
        k = at + j + n_rates
        for i in range(HIDDEN_ROWS + first, HIDDEN_ROWS + first + second, 2):
            x, y = load(work, i), load(work, i + 1)
            s0, s1 = s0 + x * weights[k], s1 + x * weights[k + 1]
            t0, t1 = t0 + y * weights[k + n_rates], t1 + y * weights[k + n_rates + 1]
            k += 2 * n_rates
        for i in range(INPUT_ROWS, INPUT_ROWS + n_inputs):
            x = load(work, i)
            s0, s1 = s0 + x * weights[k], s1 + x * weights[k + 1]
            k += n_rates
        store(work, RATES + j, exp_of(larger(smaller(s0 + t0, high), low)))
        store(work, RATES + j + 1, exp_of(larger(smaller(s1 + t1, high), low)))


@_compile
def analytic_rates(u, numbers, work):
    """Rates of the Keizer-Levine receptors whose second open state is in equilibrium with the first.

    Closed to open, open to closed, open to refractory and back; the constants ka+, ka-, kb+/kb-, kc+, kc- stand at the
    end of ``numbers``.
    """
    cube = u * u * u
    share = 1.0 / (1.0 + numbers[CONSTANTS + 2] * cube)
    store(work, RATES, numbers[CONSTANTS] * cube * u)
    store(work, RATES + 1, numbers[CONSTANTS + 1] * share)
    store(work, RATES + 2, numbers[CONSTANTS + 3] * share)
    store(work, RATES + 3, fill_like(work, numbers[CONSTANTS + 4]))


@_compile
def relaxed_single(p, work, dt, update):
    """A gate after ``dt`` with its rates held."""
    opening = load(work, RATES)
    total = opening + load(work, RATES + 1)
    rest = opening / total
    if update == EXPONENTIAL:
        keep = exp_of(total * (-dt))
    elif update == SDIRK:
        # Stability function of the method that the reference takes; it is negative for long steps, so cut to [0, 1].
        divisor = 1.0 / (1.0 + total * (_SDIRK * dt))
        keep = (1.0 - total * ((1.0 - 2.0 * _SDIRK) * dt)) * divisor * divisor
    else:
        keep = 1.0 / (1.0 + total * dt)
    p = rest + (p - rest) * keep
    return larger(smaller(p, p * 0.0 + 1.0), p * 0.0)


@_compile
def relaxed_chain(p, q, work, dt, update):
    """Open and refractory gate after ``dt`` with the rates held; p, q >= 0 and p + q <= 1 whatever the rates are."""
    opening, closing = load(work, RATES), load(work, RATES + 1)
    entering, leaving = load(work, RATES + 2), load(work, RATES + 3)
    if update == EXPONENTIAL:
        open_weight, refractory_weight = opening * leaving, opening * entering
        whole = closing * leaving + open_weight + refractory_weight
        inverse = 1.0 / whole
        p_rest, q_rest = open_weight * inverse, refractory_weight * inverse
        left, right = opening + closing, entering + leaving
        root = root_of((left - right) * (left - right) + 4.0 * closing * entering)
        fast = 0.5 * (left + right + root)
        slow = whole / fast
        decay = exp_of(slow * (-dt))
        gap = (fast - slow) * dt
        least = gap * 0.0 + 1e-3
        series = 1.0 - gap * (0.5 - gap * (1.0 / 6.0 - gap * (1.0 / 24.0)))
        share = chosen(gap, least, (1.0 - exp_of(gap * (-1.0))) / larger(gap, least), series)
        spread = decay * share * dt
        x, y = p - p_rest, q - q_rest
        x_slope = leaving * y + slow * x - opening * (x + y) - (closing + entering) * x
        y_slope = entering * x + slow * y - leaving * y
        p, q = p_rest + decay * x + spread * x_slope, q_rest + decay * y + spread * y_slope
    else:
        h = dt if update == EULER else _SDIRK * dt
        from_closed, from_refractory = 1.0 + h * opening, 1.0 + h * leaving
        both = from_closed * from_refractory
        whole = both + h * (closing * from_refractory + entering * from_closed)
        inverse = 1.0 / (both * whole)
        f_closed, f_refractory = from_refractory * whole * inverse, from_closed * whole * inverse
        weight = both * both * inverse
        c = 1.0 - p - q
        p1 = (1.0 - q * f_refractory - c * f_closed) * weight
        q1 = (q + h * entering * p1) * f_refractory
        if update == SDIRK:
            # Extrapolation between the stages, no farther than the simplex reaches: the second stage keeps it. Of the
            # three shares that which falls fastest for its size is found without a division.
            c1 = 1.0 - p1 - q1
            fall, size = p - p1, p
            here = (q - q1) * size
            there = fall * q
            fall, size = chosen(here, there, q - q1, fall), chosen(here, there, q, size)
            here = (c - c1) * size
            there = fall * c
            fall, size = chosen(here, there, c - c1, fall), chosen(here, there, c, size)
            reach = smaller(p * 0.0 + (1.0 - _SDIRK) / _SDIRK, size / larger(fall, p * 0.0 + 1e-300))
            reach = larger(reach, p * 0.0)
            p, q = p + reach * (p1 - p), q + reach * (q1 - q)
            c = 1.0 - p - q
            p1 = (1.0 - q * f_refractory - c * f_closed) * weight
            q1 = (q + h * entering * p1) * f_refractory
        p, q = p1, q1
    zero = p * 0.0
    p = larger(smaller(p, zero + 1.0), zero)
    return p, larger(smaller(q, 1.0 - p), zero)


@_compile
def watch(work, whole, domain, used, monitor, step, node):
    """Count lanes whose scaled inputs lie in no cell of the grid that training visited."""
    cells, n_inputs = whole[CELLS], whole[INPUTS]
    for lane in range(LANES):
        if (used >> lane) & 1:
            index, inside = 0, True
            for i in range(n_inputs):
                place = (pick(work, INPUT_ROWS + i, lane) + DOMAIN_EDGE) * (0.5 / DOMAIN_EDGE * cells)
                inside = inside and place >= 0.0 and place <= cells
                index = index * cells + (min(int(place), cells - 1) if inside else 0)
            monitor[LOOKED] += 1
            if not inside or domain[index] == 0:
                if monitor[OUTSIDE] == 0:
                    monitor[FIRST_STEP], monitor[FIRST_NODE], monitor[FIRST_LANE] = step, node, lane
                monitor[OUTSIDE] += 1


@_compile
def advance_gates(states, p, u, u_stride, dt, n, whole, numbers, weights, domain, used, monitor, step, work):
    """Step the gates of all nodes of a block with cytosolic calcium frozen, and give the open probability.

    Parameters
    ----------
    states : (S, n) rows, gates and then the filter, in place.
    p : (n) rows, written.
    u : cytosolic calcium in the middle of the step, at rows ``i * u_stride``.
    whole, numbers : what the channel is.
    domain : cells that training visited; used : bits of the lanes that hold a cable; monitor : counts of the block.
    step : number of the step, for the monitor.
    weights : as of `network_rates`.
    work : (8 + hidden) rows.
    """
    first, second, last = states[0], states[min(1, states.shape[0] - 1)], states[states.shape[0] - 1]
    gates = 2 if whole[GATING] == CHAIN else 1
    looks = whole[WATCH_EVERY] > 0 and step % max(whole[WATCH_EVERY], 1) == 0
    half = fill_like(work, 0.0)
    if whole[FILTERED]:
        half = exp_of(fill_like(work, -0.5 * dt / numbers[FILTER_TIME]))
    for i in range(n):
        x = load(u, i * u_stride)
        gate = load(first, i)
        if whole[SOURCE] == ANALYTIC:
            analytic_rates(x, numbers, work)
        else:
            store(work, INPUT_ROWS, (log_of(x) - numbers[CENTRE]) * numbers[SCALE])
            at = INPUT_ROWS + 1
            if whole[FILTERED]:
                s = load(last, i)
                middle = x + (s - x) * half
                store(last, i, x + (s - x) * half * half)
                store(work, INPUT_ROWS + 1, (log_of(middle) - numbers[CENTRE]) * numbers[SCALE])
                at = INPUT_ROWS + 2
            if whole[SEES_GATES]:
                store(work, at, 2.0 * gate - 1.0)
                if gates == 2:
                    store(work, at + 1, 2.0 * load(second, i) - 1.0)
            if looks:
                watch(work, whole, domain, used, monitor, step, i)
            network_rates(work, whole, weights)
            if whole[SEES_GATES]:
                if gates == 2:
                    ahead, ahead2 = relaxed_chain(gate, load(second, i), work, 0.5 * dt, whole[UPDATE])
                    store(work, at + 1, 2.0 * ahead2 - 1.0)
                else:
                    ahead = relaxed_single(gate, work, 0.5 * dt, whole[UPDATE])
                store(work, at, 2.0 * ahead - 1.0)
                network_rates(work, whole, weights)
        if gates == 2:
            gate, other = relaxed_chain(gate, load(second, i), work, dt, whole[UPDATE])
            store(second, i, other)
        else:
            gate = relaxed_single(gate, work, dt, whole[UPDATE])
        store(first, i, gate)
        store(p, i, gate * numbers[OPEN_SHARE])


@_compile
def run_gated_cable(
    state, states, p, nodes, parent, side, kinetics, drive, site, first, dt, passes, euler, with_ip3, used, threshold,
    arrival, arrived, peak, sites, every, traces, solver, sides, before, whole, numbers, weights,
    domain, monitor, work,
):  # fmt: skip
    """Steps of one block of cables, gates and concentrations in turn, as many as ``drive`` has rows.

    Parameters and result as of `understudy.calcium.cable_kernel.run_ryanodine_cable`, and of `advance_gates`.
    """
    n = parent.shape[0]
    nothing = state[:0]
    for k in range(drive.shape[0]):
        step = first + k
        if step == 0 and not euler:
            advance_gates(
                states, p, state, 3, 0.5 * dt, n, whole, numbers, weights, domain, used, monitor,
                step, work,
            )  # fmt: skip
            before[:] = p
            observe(p, before, 0.5 * dt, dt, threshold, state, arrival, arrived, peak)
        if euler:
            advance_gates(
                states, p, state, 3, dt, n, whole, numbers, weights, domain, used, monitor, step,
                work,
            )  # fmt: skip
            if step == 0:
                before[:] = p
            lowest = advance_concentrations_euler(
                state, p, nodes, parent, side, kinetics, drive[k], site, nothing, dt, with_ip3, solver, sides
            )
        else:
            lowest = advance_concentrations(
                state, p, nodes, parent, side, kinetics, drive[k], site, nothing, dt, passes, with_ip3, solver, sides
            )
        if not holds(lowest, state, used):
            return k + 1
        if not euler:
            advance_gates(
                states, p, state, 3, dt, n, whole, numbers, weights, domain, used, monitor,
                step + 1, work,
            )  # fmt: skip
        if (step + 1) % every == 0:
            weight = 1.0 if euler else 0.5
            sample(state, p, before, weight, sites, traces[(step + 1) // every - 1 - first // every])
        observe(p, before, (step + (1.0 if euler else 1.5)) * dt, dt, threshold, state, arrival, arrived, peak)
    return drive.shape[0]
