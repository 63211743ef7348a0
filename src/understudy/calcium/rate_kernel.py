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
    GATING, SOURCE, FILTERED, SEES_GATES, UPDATE, FIRST, SECOND, INPUTS, CELLS, WATCH_EVERY,
) = range(10)  # fmt: skip
"""Entries of the integers that say what a channel is: gates, origin of the rates, whether there is a filter and whether
rates see the gates, form of the update, widths of the hidden layers, number of inputs, cells of the domain per input,
and how many steps lie between two looks at the domain (0: none)."""

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
def network_rates(inputs, whole, w1, b1, w2, b2, w3, b3, linear, hidden, rates):
    """Rates of one node from its scaled inputs.

    Parameters
    ----------
    inputs : (I) rows.
    whole : the integers of the channel.
    w1, b1, w2, b2, w3, b3, linear : weights of the network.
    hidden : (first + second) rows, work space.
    rates : (R) rows in 1/s, written.
    """
    first, second, n_inputs = whole[FIRST], whole[SECOND], whole[INPUTS]
    knee = fill_like(inputs, ACTIVATION_KNEE)
    minus = fill_like(inputs, -ACTIVATION_KNEE)
    for j in range(first):
        x = load(inputs, 0) * w1[j, 0] + b1[j]
        for i in range(1, n_inputs):
            x = x + load(inputs, i) * w1[j, i]
        x = larger(smaller(x, knee), minus)
        store(hidden, j, x - _CUBE * x * x * x)
    for j in range(second):
        x = load(hidden, 0) * w2[j, 0] + b2[j]
        for i in range(1, first):
            x = x + load(hidden, i) * w2[j, i]
        x = larger(smaller(x, knee), minus)
        store(hidden, first + j, x - _CUBE * x * x * x)
    low, high = fill_like(inputs, _LOWEST), fill_like(inputs, _HIGHEST)
    for j in range(b3.shape[0]):
        x = load(inputs, 0) * linear[j, 0] + b3[j]
        for i in range(1, n_inputs):
            x = x + load(inputs, i) * linear[j, i]
        for i in range(second):
            x = x + load(hidden, first + i) * w3[j, i]
        store(rates, j, exp_of(larger(smaller(x, high), low)))


@_compile
def analytic_rates(u, constants, rates):
    """Rates of the Keizer-Levine receptors whose second open state is in equilibrium with the first.

    ``constants``: ka+, ka-, kb+/kb-, kc+, kc-. Closed to open, open to closed, open to refractory and back.
    """
    cube = u * u * u
    share = 1.0 / (1.0 + constants[2] * cube)
    store(rates, 0, constants[0] * cube * u)
    store(rates, 1, constants[1] * share)
    store(rates, 2, constants[3] * share)
    store(rates, 3, share * 0.0 + constants[4])


@_compile
def relaxed_single(p, rates, dt, update):
    """A gate after ``dt`` with its rates held."""
    opening, total = load(rates, 0), load(rates, 0) + load(rates, 1)
    rest = opening / total
    if update == EXPONENTIAL:
        keep = exp_of(total * (-dt))
    elif update == SDIRK:
        # Stability function of the method that the reference takes; it undershoots, so the result is cut to [0, 1].
        divisor = 1.0 / (1.0 + total * (_SDIRK * dt))
        keep = (1.0 - total * ((1.0 - 2.0 * _SDIRK) * dt)) * divisor * divisor
    else:
        keep = 1.0 / (1.0 + total * dt)
    p = rest + (p - rest) * keep
    return larger(smaller(p, p * 0.0 + 1.0), p * 0.0)


@_compile
def relaxed_chain(p, q, rates, dt, update):
    """Open and refractory gate after ``dt`` with the rates held; p, q >= 0 and p + q <= 1 whatever the rates are."""
    opening, closing, entering, leaving = load(rates, 0), load(rates, 1), load(rates, 2), load(rates, 3)
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
        f_closed, f_refractory = 1.0 / (1.0 + h * opening), 1.0 / (1.0 + h * leaving)
        weight = 1.0 / (1.0 + h * (closing * f_closed + entering * f_refractory))
        c = 1.0 - p - q
        p1 = (1.0 - q * f_refractory - c * f_closed) * weight
        q1 = (q + h * entering * p1) * f_refractory
        if update == SDIRK:
            # Extrapolation between the stages, no farther than the simplex reaches: the second stage keeps it.
            c1 = 1.0 - p1 - q1
            tiny = p * 0.0 + 1e-300
            reach = p * 0.0 + (1.0 - _SDIRK) / _SDIRK
            reach = smaller(reach, smaller(p / larger(p - p1, tiny), q / larger(q - q1, tiny)))
            reach = larger(smaller(reach, c / larger(c - c1, tiny)), p * 0.0)
            p, q = p + reach * (p1 - p), q + reach * (q1 - q)
            c = 1.0 - p - q
            p1 = (1.0 - q * f_refractory - c * f_closed) * weight
            q1 = (q + h * entering * p1) * f_refractory
        p, q = p1, q1
    zero = p * 0.0
    p = larger(smaller(p, zero + 1.0), zero)
    return p, larger(smaller(q, 1.0 - p), zero)


CENTRE, SCALE, FILTER_TIME, OPEN_SHARE, CONSTANTS = range(5)
"""Entries of a channel's numbers: middle of ln u and inverse of half its range, time constant of the filter, share of
the channels that take part in the gate, and from there on the constants of `analytic_rates`."""


@_compile
def watch(inputs, whole, domain, used, monitor, step, node):
    """Count lanes whose scaled inputs lie in no cell of the grid that training visited."""
    cells, n_inputs = whole[CELLS], whole[INPUTS]
    for lane in range(LANES):
        if (used >> lane) & 1:
            index, inside = 0, True
            for i in range(n_inputs):
                place = (pick(inputs, i, lane) + DOMAIN_EDGE) * (0.5 / DOMAIN_EDGE * cells)
                inside = inside and place >= 0.0 and place <= cells
                index = index * cells + (min(int(place), cells - 1) if inside else 0)
            monitor[LOOKED] += 1
            if not inside or domain[index] == 0:
                if monitor[OUTSIDE] == 0:
                    monitor[FIRST_STEP], monitor[FIRST_NODE], monitor[FIRST_LANE] = step, node, lane
                monitor[OUTSIDE] += 1


@_compile
def advance_gates(
    states, p, u, u_stride, dt, n, whole, numbers, w1, b1, w2, b2, w3, b3, linear, domain, used, monitor, step, work
):
    """Step the gates of all nodes of a block with cytosolic calcium frozen, and give the open probability.

    Parameters
    ----------
    states : (S, n) rows, gates and then the filter, in place.
    p : (n) rows, written.
    u : cytosolic calcium in the middle of the step, at rows ``i * u_stride``.
    whole, numbers : what the channel is.
    domain : cells that training visited; used : bits of the lanes that hold a cable; monitor : counts of the block.
    step : number of the step, for the monitor.
    work : (8 + hidden) rows.
    """
    inputs, rates, hidden = work[0:4], work[4:8], work[8:]
    first, second, last = states[0], states[min(1, states.shape[0] - 1)], states[states.shape[0] - 1]
    gates = 2 if whole[GATING] == CHAIN else 1
    looks = whole[WATCH_EVERY] > 0 and step % max(whole[WATCH_EVERY], 1) == 0
    half = fill_like(inputs, 0.0)
    if whole[FILTERED]:
        half = exp_of(fill_like(inputs, -0.5 * dt / numbers[FILTER_TIME]))
    for i in range(n):
        x = load(u, i * u_stride)
        gate = load(first, i)
        if whole[SOURCE] == ANALYTIC:
            analytic_rates(x, numbers[CONSTANTS:], rates)
        else:
            store(inputs, 0, (log_of(x) - numbers[CENTRE]) * numbers[SCALE])
            at = 1
            if whole[FILTERED]:
                s = load(last, i)
                middle = x + (s - x) * half
                store(last, i, x + (s - x) * half * half)
                store(inputs, 1, (log_of(middle) - numbers[CENTRE]) * numbers[SCALE])
                at = 2
            if whole[SEES_GATES]:
                store(inputs, at, 2.0 * gate - 1.0)
                if gates == 2:
                    store(inputs, at + 1, 2.0 * load(second, i) - 1.0)
            if looks:
                watch(inputs, whole, domain, used, monitor, step, i)
            network_rates(inputs, whole, w1, b1, w2, b2, w3, b3, linear, hidden, rates)
            if whole[SEES_GATES]:
                if gates == 2:
                    ahead, ahead2 = relaxed_chain(gate, load(second, i), rates, 0.5 * dt, whole[UPDATE])
                    store(inputs, at + 1, 2.0 * ahead2 - 1.0)
                else:
                    ahead = relaxed_single(gate, rates, 0.5 * dt, whole[UPDATE])
                store(inputs, at, 2.0 * ahead - 1.0)
                network_rates(inputs, whole, w1, b1, w2, b2, w3, b3, linear, hidden, rates)
        if gates == 2:
            gate, other = relaxed_chain(gate, load(second, i), rates, dt, whole[UPDATE])
            store(second, i, other)
        else:
            gate = relaxed_single(gate, rates, dt, whole[UPDATE])
        store(first, i, gate)
        store(p, i, gate * numbers[OPEN_SHARE])


@_compile
def run_gated_cable(
    state, states, p, nodes, parent, side, kinetics, drive, site, first, dt, passes, euler, with_ip3, used, threshold,
    arrival, arrived, peak, sites, every, traces, solver, sides, before, whole, numbers, w1, b1, w2, b2, w3, b3, linear,
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
                states, p, state, 3, 0.5 * dt, n, whole, numbers, w1, b1, w2, b2, w3, b3, linear, domain, used, monitor,
                step, work,
            )  # fmt: skip
            before[:] = p
            observe(p, before, 0.5 * dt, dt, threshold, state, arrival, arrived, peak)
        if euler:
            advance_gates(
                states, p, state, 3, dt, n, whole, numbers, w1, b1, w2, b2, w3, b3, linear, domain, used, monitor, step,
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
                states, p, state, 3, dt, n, whole, numbers, w1, b1, w2, b2, w3, b3, linear, domain, used, monitor,
                step + 1, work,
            )  # fmt: skip
        if (step + 1) % every == 0:
            weight = 1.0 if euler else 0.5
            sample(state, p, before, weight, sites, traces[(step + 1) // every - 1 - first // every])
        observe(p, before, (step + (1.0 if euler else 1.5)) * dt, dt, threshold, state, arrival, arrived, peak)
    return drive.shape[0]
