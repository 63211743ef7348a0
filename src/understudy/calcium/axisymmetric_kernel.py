"""Compiled steps of the axisymmetric dendrite: Strang splitting of axial diffusion and everything across the radius.

Fields are (columns along x, nodes along r). ER nodes run from the axis to the ER membrane, cytosolic nodes from the ER
membrane to the plasma membrane; both have a node on the ER membrane itself. Volumes, areas and couplings are per unit
of length along x.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from understudy.calcium.cable_kernel import (
    BINDING,
    CALBINDIN,
    ER_LEAK,
    NCX,
    NCX_AFFINITY,
    OUTSIDE,
    PLASMA_LEAK,
    PMCA,
    PMCA_AFFINITY_SQUARED,
    RYANODINE,
    SERCA,
    SERCA_AFFINITY,
    UNBINDING,
    advance_ryanodine,
)

NO_WAVE, WAVE, STUCK, NOT_HELD = range(4)
"""Outcomes: the time ended; calcium rose at the far end; the release died away; a concentration went below 0 or NaN."""

_compile = njit(cache=True, error_model="numpy", fastmath={"contract"})


@_compile
def diffuse_along(field, number, source, work, factor):
    """Crank-Nicolson step of axial diffusion with closed ends, all radii at once.

    Parameters
    ----------
    field : (columns, nodes), in place.
    number : D dt / (2 dx2).
    source : added to the first column, what enters there in the step.
    work : (columns, nodes); factor (columns), overwritten.
    """
    columns, nodes = field.shape
    for i in range(columns):
        diagonal = 1.0 + (2.0 if 0 < i < columns - 1 else 1.0) * number
        factor[i] = 1.0 / (diagonal - number * (number * factor[i - 1] if i > 0 else 0.0))
        scale, carry = factor[i], number * factor[i]
        if i == 0:
            for j in range(nodes):
                right = number * (field[i + 1, j] - field[i, j])
                work[i, j] = (field[i, j] + right + source) * scale
        elif i < columns - 1:
            for j in range(nodes):
                both = number * (field[i + 1, j] - 2.0 * field[i, j] + field[i - 1, j])
                work[i, j] = (field[i, j] + both) * scale + carry * work[i - 1, j]
        else:
            for j in range(nodes):
                left = number * (field[i - 1, j] - field[i, j])
                work[i, j] = (field[i, j] + left) * scale + carry * work[i - 1, j]
    for j in range(nodes):
        field[columns - 1, j] = work[columns - 1, j]
    for i in range(columns - 2, -1, -1):
        carry = number * factor[i]
        for j in range(nodes):
            field[i, j] = work[i, j] + carry * field[i + 1, j]


@_compile
def react_across(
    u, e, b, p, cytosol_volume, er_volume, cytosol_coupling, er_coupling, calbindin_coupling, er_area, plasma_area,
    kinetics, dt, work,
):  # fmt: skip
    """Linearly implicit midpoint step of radial diffusion, membranes and calbindin in every column.

    Parameters
    ----------
    u, b : (columns, nc), e : (columns, ne), in place.
    p : (columns) open probability in the middle of the step.
    cytosol_volume (nc), er_volume (ne) : um2; cytosol_coupling, calbindin_coupling (nc - 1), er_coupling (ne - 1) um2/s
        between a node and the next.
    er_area, plasma_area : um.
    work : (max(nc, ne), 8).

    Returns
    -------
    the smallest concentration; NaN where one is not finite.
    """
    columns, nc = u.shape
    ne = e.shape[1]
    h = 2.0 / dt
    total, on, off = kinetics[CALBINDIN], kinetics[BINDING], kinetics[UNBINDING]
    lowest, check = np.inf, 0.0
    for i in range(columns):
        # ER, from the axis outwards; row k keeps d_k = y_k + w_k d_{k+1}.
        carry_m, carry_r = 0.0, 0.0
        for k in range(ne - 1):
            g = er_coupling[k]
            flux = g * (e[i, k + 1] - e[i, k])
            m = er_volume[k] * h + g + carry_m
            r = flux + carry_r
            inverse = 1.0 / m
            y, w = r * inverse, g * inverse
            work[k, 6], work[k, 7] = y, w
            carry_m, carry_r = g - g * w, g * y - flux
        um, em = u[i, 0], e[i, ne - 1]
        leak = kinetics[RYANODINE] * p[i] + kinetics[ER_LEAK]
        inverse = 1.0 / ((kinetics[SERCA_AFFINITY] + um) * em)
        pumped = kinetics[SERCA] * um * inverse
        pumped_u = kinetics[SERCA] * kinetics[SERCA_AFFINITY] * em * inverse * inverse
        pumped_e = -pumped * inverse * (kinetics[SERCA_AFFINITY] + um)
        released = er_area * (leak * (em - um) - pumped)
        to_u, to_e = er_area * (leak + pumped_u), er_area * (leak - pumped_e)
        m = er_volume[ne - 1] * h + to_e + carry_m
        inverse = 1.0 / m
        y, w = (carry_r - released) * inverse, to_u * inverse
        work[ne - 1, 6], work[ne - 1, 7] = y, w
        # Cytosol, from the ER membrane outwards; 2 x 2 blocks of calcium and calbindin.
        m00, m02, m20, m22 = to_u - to_e * w, 0.0, 0.0, 0.0
        r0, r2 = released + to_e * y, 0.0
        for k in range(nc):
            x, c = u[i, k], b[i, k]
            v = cytosol_volume[k]
            bind, release = v * on * c, v * (off + on * x)
            bound = v * (off * (total - c)) - bind * x
            g0 = g2 = 0.0
            j0 = j2 = 0.0
            if k < nc - 1:
                g0, g2 = cytosol_coupling[k], calbindin_coupling[k]
                j0, j2 = g0 * (u[i, k + 1] - x), g2 * (b[i, k + 1] - c)
            m00 += v * h + g0 + bind
            m02 += release
            m20 += bind
            m22 += v * h + g2 + release
            r0 += j0 + bound
            r2 += j2 + bound
            if k == nc - 1:
                q = 1.0 / (kinetics[PMCA_AFFINITY_SQUARED] + x * x)
                f = kinetics[PMCA] * x * x * q
                slope = 2.0 * kinetics[PMCA] * kinetics[PMCA_AFFINITY_SQUARED] * x * q * q
                q = 1.0 / (kinetics[NCX_AFFINITY] + x)
                f += kinetics[NCX] * x * q
                slope += kinetics[NCX] * kinetics[NCX_AFFINITY] * q * q
                r0 += plasma_area * (kinetics[PLASMA_LEAK] * (kinetics[OUTSIDE] - x) - f)
                m00 += plasma_area * (kinetics[PLASMA_LEAK] + slope)
            inverse = 1.0 / (m00 * m22 - m02 * m20)
            y0, y2 = inverse * (m22 * r0 - m02 * r2), inverse * (m00 * r2 - m20 * r0)
            w00, w02 = inverse * m22 * g0, -inverse * m02 * g2
            w20, w22 = -inverse * m20 * g0, inverse * m00 * g2
            work[k, 0], work[k, 1], work[k, 2], work[k, 3], work[k, 4], work[k, 5] = y0, y2, w00, w02, w20, w22
            m00, m02, m20, m22 = g0 - g0 * w00, -g0 * w02, -g2 * w20, g2 - g2 * w22
            r0, r2 = g0 * y0 - j0, g2 * y2 - j2
        x0 = x2 = 0.0
        for k in range(nc - 1, -1, -1):
            z0 = work[k, 0] + work[k, 2] * x0 + work[k, 3] * x2
            x2 = work[k, 1] + work[k, 4] * x0 + work[k, 5] * x2
            x0 = z0
            u[i, k] += 2.0 * x0
            b[i, k] += 2.0 * x2
            lowest = min(lowest, u[i, k], b[i, k])
            check += (u[i, k] + b[i, k]) * 0.0
        for k in range(ne - 1, -1, -1):
            x0 = work[k, 6] + work[k, 7] * x0
            e[i, k] += 2.0 * x0
            lowest = min(lowest, e[i, k])
            check += e[i, k] * 0.0
    return lowest + check


@_compile
def run_axisymmetric(
    u, e, b, channel, p, cytosol_volume, er_volume, cytosol_coupling, er_coupling, calbindin_coupling, er_area,
    plasma_area, kinetics, axial, influx, dt, first, steps, stop_early, far_level, threshold, arrival, front, traces,
    every, sites,
):  # fmt: skip
    """Steps of one dendrite with Keizer-Levine receptors on its ER membrane.

    Parameters
    ----------
    axial : (3,) D / dx2 of cytosolic calcium, ER calcium and calbindin.
    influx : (2 steps,) uM that enter the first column's cytosol in each half step.
    stop_early : whether to stop once the outcome is known.
    far_level : mean cytosolic calcium of the last column at which a wave has arrived.
    arrival : (columns) crossing of ``threshold`` by the open probability, inf at first.
    front : (1) largest release rate so far.
    traces : (samples, sites, 4) mean cytosolic calcium, calcium at the ER membrane, mean ER calcium, open probability.

    Returns
    -------
    steps done and the outcome.
    """
    columns = u.shape[0]
    nc, ne = u.shape[1], e.shape[1]
    work_u, work_e = np.empty_like(u), np.empty_like(e)
    factor = np.empty(columns)
    work = np.empty((max(nc, ne), 8))
    before = p.copy()
    flat = u.reshape(u.size)
    cytosol = cytosol_volume.sum()
    er = er_volume.sum()
    outcome = NO_WAVE
    for k in range(steps):
        step = first + k
        if step == 0:
            advance_ryanodine(channel, p, flat, nc, kinetics, 0.5 * dt, columns, False)
            before[:] = p
        diffuse_along(u, 0.25 * axial[0] * dt, influx[2 * k], work_u, factor)
        diffuse_along(b, 0.25 * axial[2] * dt, 0.0, work_u, factor)
        diffuse_along(e, 0.25 * axial[1] * dt, 0.0, work_e, factor)
        lowest = react_across(
            u, e, b, p, cytosol_volume, er_volume, cytosol_coupling, er_coupling, calbindin_coupling, er_area,
            plasma_area, kinetics, dt, work,
        )  # fmt: skip
        diffuse_along(u, 0.25 * axial[0] * dt, influx[2 * k + 1], work_u, factor)
        diffuse_along(b, 0.25 * axial[2] * dt, 0.0, work_u, factor)
        diffuse_along(e, 0.25 * axial[1] * dt, 0.0, work_e, factor)
        before[:] = p
        advance_ryanodine(channel, p, flat, nc, kinetics, dt, columns, False)
        release = 0.0
        held = lowest >= 0.0
        for i in range(columns):
            held = held and u[i, 0] >= 0.0 and u[i, nc - 1] >= 0.0 and e[i, 0] >= 0.0 and b[i, 0] >= 0.0
            held = held and e[i, ne - 1] >= 0.0 and b[i, nc - 1] >= 0.0
            if p[i] > threshold and arrival[i] == np.inf:
                part = (p[i] - threshold) / (p[i] - before[i]) if p[i] > before[i] else 0.0
                arrival[i] = (step + 1.5 - part) * dt
            release = max(release, p[i] * (e[i, ne - 1] - u[i, 0]))
        if not held:
            return k + 1, NOT_HELD
        if (step + 1) % every == 0 and traces.shape[0] > 0:
            row = (step + 1) // every - 1 - first // every
            for s in range(sites.shape[0]):
                i = sites[s]
                traces[row, s, 0] = (u[i] * cytosol_volume).sum() / cytosol
                traces[row, s, 1] = u[i, 0]
                traces[row, s, 2] = (e[i] * er_volume).sum() / er
                traces[row, s, 3] = 0.5 * (p[i] + before[i])
        front[0] = max(front[0], release)
        if (u[columns - 1] * cytosol_volume).sum() > far_level * cytosol:
            outcome = WAVE
        elif outcome != WAVE and release < 0.25 * front[0]:
            outcome = STUCK
        if stop_early and outcome != NO_WAVE:
            return k + 1, outcome
    return steps, outcome
