"""Compiled steps of the calcium cable: concentrations by a tree-ordered block solve, ryanodine receptors by their ODE.

Nodes are numbered so that a parent comes before its children. A row of an array is a float64 (one cable) or eight lanes
(`understudy.calcium.vector_lanes`); the fields of a node lie side by side, row ``node * FIELDS + field``.

With ``w = (u, e, b)``, cytosolic calcium, ER calcium and free calbindin, a Crank-Nicolson step is written for
the increment d to the middle of the step, ``w' = w + 2 d``, and the fallback, backward Euler, for the whole increment:

    (V/h - A - F'(w*)) d = A w + F(w*) - F'(w*) (w* - w),    h = dt/2 or dt,

A the diffusion between neighbours, F all membrane fluxes and the binding to calbindin, linearised at w* (the step's
beginning in the first pass, the middle found so far in the next). Every flux enters the two compartments that it
connects with one and the same number, so calcium is conserved whatever the linearisation.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from understudy.calcium.parameters import IP3_DISSOCIATION_UM
from understudy.calcium.vector_lanes import (
    LANES,
    fill_like,
    greater_bits,
    larger,
    load,
    pick,
    put,
    root_of,
    smaller,
    store,
)

CYTOSOL_VOLUME, ER_VOLUME, ER_AREA, PLASMA_AREA, CYTOSOL_COUPLING, ER_COUPLING, CALBINDIN_COUPLING = range(7)
NODE_FIELDS = 7
"""Volumes in um3, areas in um2, diffusive couplings to the parent in um3/s."""

(
    RYANODINE, ER_LEAK, SERCA, SERCA_AFFINITY, PMCA, PMCA_AFFINITY_SQUARED, NCX, NCX_AFFINITY, PLASMA_LEAK, OUTSIDE,
    CALBINDIN, BINDING, UNBINDING, IP3_RECEPTOR, OPENING, CLOSING, SECOND_OPENING, SECOND_CLOSING, INACTIVATION,
    RECOVERY,
) = range(20)  # fmt: skip
KINETIC_FIELDS = 20
"""Rows of the kinetic constants: um/s, uM2 um/s, uM um/s, uM, 1/(uM s), 1/s."""

INFLUX, PLASMA_IN, PLASMA_OUT, IP3 = range(4)
DRIVE_FIELDS = 4
"""Rows of what drives a step from outside, its mean over the step.

Influx into the stimulated node in uM um3/s, opened channels of the plasma membrane in uM um/s and um/s, IP3 in uM.
"""

U, E, B = range(3)
O2, C1, C2 = range(3)
SOLVER_FIELDS = 15
SIDE_FIELDS = 12

_SDIRK = 1.0 - np.sqrt(0.5)

_D1, _D2, _D3, _D5 = IP3_DISSOCIATION_UM

_compile = njit(cache=True, error_model="numpy", fastmath={"contract"})


@_compile
def advance_ryanodine(channel, p, u, u_stride, kinetics, dt, n_nodes, euler):
    """Step the Keizer-Levine receptors with cytosolic calcium frozen, and give the open probability.

    ``euler`` chooses backward Euler; otherwise the L-stable two-stage SDIRK method of order 2.

    Parameters
    ----------
    channel : (3 n) o2, c1, c2, in place.
    p : (n) open probability o1 + o2 = 1 - c1 - c2, written.
    u : cytosolic calcium, at rows ``i * u_stride``.
    """
    a, shut1 = load(kinetics, OPENING), load(kinetics, CLOSING)
    b, shut2 = load(kinetics, SECOND_OPENING), load(kinetics, SECOND_CLOSING)
    open3, shut3 = load(kinetics, INACTIVATION), load(kinetics, RECOVERY)
    h = dt if euler else _SDIRK * dt
    ratio = (1.0 - _SDIRK) / _SDIRK
    for i in range(n_nodes):
        x = load(u, i * u_stride)
        cube = x * x * x
        open1, open2 = a * cube * x, b * cube
        o2, c1, c2 = load(channel, 3 * i + O2), load(channel, 3 * i + C1), load(channel, 3 * i + C2)
        f1, f2, f3 = 1.0 / (1.0 + h * open1), 1.0 / (1.0 + h * shut2), 1.0 / (1.0 + h * shut3)
        weight = 1.0 / (1.0 + h * (open2 * f2 + shut1 * f1 + open3 * f3))
        o1 = (1.0 - o2 * f2 - c1 * f1 - c2 * f3) * weight
        p2, q1, q2 = (o2 + h * open2 * o1) * f2, (c1 + h * shut1 * o1) * f1, (c2 + h * open3 * o1) * f3
        if not euler:
            o2, c1, c2 = o2 + ratio * (p2 - o2), c1 + ratio * (q1 - c1), c2 + ratio * (q2 - c2)
            o1 = (1.0 - o2 * f2 - c1 * f1 - c2 * f3) * weight
            p2, q1, q2 = (o2 + h * open2 * o1) * f2, (c1 + h * shut1 * o1) * f1, (c2 + h * open3 * o1) * f3
        store(channel, 3 * i + O2, p2)
        store(channel, 3 * i + C1, q1)
        store(channel, 3 * i + C2, q2)
        store(p, i, 1.0 - q1 - q2)


@_compile
def advance_concentrations(
    state, p, nodes, parent, side, kinetics, drive, site, source, dt, passes, with_ip3, solver, sides
):
    """Crank-Nicolson step of cytosolic calcium, ER calcium and calbindin on a tree.

    Parameters
    ----------
    state : (3 n) u, e, b in uM, in place.
    p : (n) open probability in the middle of the step.
    nodes : (7 n) geometry.
    parent : (n) number of the parent, -1 at the root.
    side : (n) slot of a node that has children besides its successor, else -1.
    kinetics : (20) constants.
    drive : (4) what acts from outside, its mean over the step; the influx enters node ``site``.
    source : (3 n) further sources in uM um3/s, or no rows.
    dt : step in s.
    passes : linearisations per step, 1 or 2.
    with_ip3 : whether IP3 receptors are to be computed.
    solver, sides : work space, (15 n) and (12 slots).

    Returns
    -------
    the smallest concentration after the step, per lane; NaN where one is not finite.
    """
    n = parent.shape[0]
    h_inverse = 2.0 / dt
    zero = fill_like(state, 0.0)
    ryanodine, er_leak = load(kinetics, RYANODINE), load(kinetics, ER_LEAK)
    serca, serca_k = load(kinetics, SERCA), load(kinetics, SERCA_AFFINITY)
    pmca, pmca_k2 = load(kinetics, PMCA), load(kinetics, PMCA_AFFINITY_SQUARED)
    ncx, ncx_k = load(kinetics, NCX), load(kinetics, NCX_AFFINITY)
    plasma_rate = load(kinetics, PLASMA_LEAK) + load(drive, PLASMA_OUT)
    plasma_in = load(kinetics, PLASMA_LEAK) * load(kinetics, OUTSIDE) + load(drive, PLASMA_IN)
    total, on, off = load(kinetics, CALBINDIN), load(kinetics, BINDING), load(kinetics, UNBINDING)
    ip3_receptor, ip3 = load(kinetics, IP3_RECEPTOR), load(drive, IP3)
    influx = load(drive, INFLUX)
    lowest, check = fill_like(state, np.inf), zero
    for number in range(passes):
        for row in range(sides.shape[0]):
            store(sides, row, zero)
        m00 = m01 = m02 = m10 = m11 = m12 = m20 = m21 = m22 = zero
        r0 = r1 = r2 = zero
        for i in range(n - 1, -1, -1):
            at = NODE_FIELDS * i
            v_c, v_e = load(nodes, at + CYTOSOL_VOLUME), load(nodes, at + ER_VOLUME)
            s_e, s_p = load(nodes, at + ER_AREA), load(nodes, at + PLASMA_AREA)
            u, e, b = load(state, 3 * i + U), load(state, 3 * i + E), load(state, 3 * i + B)
            du = de = db = zero
            if number > 0:
                du, de, db = (
                    load(solver, SOLVER_FIELDS * i),
                    load(solver, SOLVER_FIELDS * i + 1),
                    load(solver, SOLVER_FIELDS * i + 2),
                )
            us, es, bs = u + du, e + de, b + db
            if side[i] >= 0:
                row = SIDE_FIELDS * side[i]
                m00, m01, m02 = m00 + load(sides, row), m01 + load(sides, row + 1), m02 + load(sides, row + 2)
                m10, m11, m12 = m10 + load(sides, row + 3), m11 + load(sides, row + 4), m12 + load(sides, row + 5)
                m20, m21, m22 = m20 + load(sides, row + 6), m21 + load(sides, row + 7), m22 + load(sides, row + 8)
                r0, r1, r2 = r0 + load(sides, row + 9), r1 + load(sides, row + 10), r2 + load(sides, row + 11)
            # Calbindin.
            bind = on * bs
            release = off + on * us
            bound = v_c * (off * (total - bs) - bind * us + bind * du + release * db)
            bind, release = v_c * bind, v_c * release
            # ER membrane.
            leak = ryanodine * load(p, i) + er_leak
            if with_ip3:
                product = us * ip3
                gate = product * _D2 / ((product + ip3 * _D2 + _D1 * _D2 + us * _D3) * (us + _D5))
                leak = leak + ip3_receptor * gate * gate * gate
            inverse = 1.0 / ((serca_k + us) * es)
            pumped = serca * us * inverse
            pumped_u = serca * serca_k * es * inverse * inverse
            pumped_e = (zero - pumped) * inverse * (serca_k + us)
            released = s_e * (leak * (e - u) - pumped + pumped_u * du + pumped_e * de)
            to_u, to_e = s_e * (leak + pumped_u), s_e * (leak - pumped_e)
            # Plasma membrane.
            q = 1.0 / (pmca_k2 + us * us)
            f, slope = pmca * us * us * q, 2.0 * pmca * pmca_k2 * us * q * q
            q = 1.0 / (ncx_k + us)
            f, slope = f + ncx * us * q, slope + ncx * ncx_k * q * q
            entered = s_p * (plasma_in - plasma_rate * u - f + slope * du)
            # Diffusion from the parent.
            g0 = g1 = g2 = zero
            j0 = j1 = j2 = zero
            up = parent[i]
            if up >= 0:
                g0, g1 = load(nodes, at + CYTOSOL_COUPLING), load(nodes, at + ER_COUPLING)
                g2 = load(nodes, at + CALBINDIN_COUPLING)
                j0 = g0 * (load(state, 3 * up + U) - u)
                j1 = g1 * (load(state, 3 * up + E) - e)
                j2 = g2 * (load(state, 3 * up + B) - b)
            m00 = m00 + (v_c * h_inverse + g0 + bind + to_u + s_p * (plasma_rate + slope))
            m01 = m01 - to_e
            m02 = m02 + release
            m10 = m10 - to_u
            m11 = m11 + (v_e * h_inverse + g1 + to_e)
            m20 = m20 + bind
            m22 = m22 + (v_c * h_inverse + g2 + release)
            r0 = r0 + (j0 + bound + released + entered)
            r1 = r1 + (j1 - released)
            r2 = r2 + (j2 + bound)
            if i == site:
                r0 = r0 + influx
            if source.shape[0] > 0:
                r0, r1 = r0 + load(source, 3 * i + U), r1 + load(source, 3 * i + E)
                r2 = r2 + load(source, 3 * i + B)
            # Inverse of the block, from its cofactors.
            k00, k01, k02 = m11 * m22 - m12 * m21, m02 * m21 - m01 * m22, m01 * m12 - m02 * m11
            k10, k11, k12 = m12 * m20 - m10 * m22, m00 * m22 - m02 * m20, m02 * m10 - m00 * m12
            k20, k21, k22 = m10 * m21 - m11 * m20, m01 * m20 - m00 * m21, m00 * m11 - m01 * m10
            inverse = 1.0 / (m00 * k00 + m01 * k10 + m02 * k20)
            y0 = inverse * (k00 * r0 + k01 * r1 + k02 * r2)
            y1 = inverse * (k10 * r0 + k11 * r1 + k12 * r2)
            y2 = inverse * (k20 * r0 + k21 * r1 + k22 * r2)
            h0, h1, h2 = inverse * g0, inverse * g1, inverse * g2
            k00, k01, k02 = k00 * h0, k01 * h1, k02 * h2
            k10, k11, k12 = k10 * h0, k11 * h1, k12 * h2
            k20, k21, k22 = k20 * h0, k21 * h1, k22 * h2
            row = SOLVER_FIELDS * i + 3
            store(solver, row, y0)
            store(solver, row + 1, y1)
            store(solver, row + 2, y2)
            store(solver, row + 3, k00)
            store(solver, row + 4, k01)
            store(solver, row + 5, k02)
            store(solver, row + 6, k10)
            store(solver, row + 7, k11)
            store(solver, row + 8, k12)
            store(solver, row + 9, k20)
            store(solver, row + 10, k21)
            store(solver, row + 11, k22)
            # What the parent's row takes over.
            m00, m01, m02 = g0 - g0 * k00, zero - g0 * k01, zero - g0 * k02
            m10, m11, m12 = zero - g1 * k10, g1 - g1 * k11, zero - g1 * k12
            m20, m21, m22 = zero - g2 * k20, zero - g2 * k21, g2 - g2 * k22
            r0, r1, r2 = g0 * y0 - j0, g1 * y1 - j1, g2 * y2 - j2
            if up >= 0 and up != i - 1:
                row = SIDE_FIELDS * side[up]
                store(sides, row, load(sides, row) + m00)
                store(sides, row + 1, load(sides, row + 1) + m01)
                store(sides, row + 2, load(sides, row + 2) + m02)
                store(sides, row + 3, load(sides, row + 3) + m10)
                store(sides, row + 4, load(sides, row + 4) + m11)
                store(sides, row + 5, load(sides, row + 5) + m12)
                store(sides, row + 6, load(sides, row + 6) + m20)
                store(sides, row + 7, load(sides, row + 7) + m21)
                store(sides, row + 8, load(sides, row + 8) + m22)
                store(sides, row + 9, load(sides, row + 9) + r0)
                store(sides, row + 10, load(sides, row + 10) + r1)
                store(sides, row + 11, load(sides, row + 11) + r2)
                m00 = m01 = m02 = m10 = m11 = m12 = m20 = m21 = m22 = zero
                r0 = r1 = r2 = zero
        last = number == passes - 1
        x0 = x1 = x2 = zero
        for i in range(n):
            up = parent[i]
            if up >= 0 and up != i - 1:
                row = SOLVER_FIELDS * up
                x0, x1, x2 = load(solver, row), load(solver, row + 1), load(solver, row + 2)
            row = SOLVER_FIELDS * i + 3
            z0 = load(solver, row) + (
                load(solver, row + 3) * x0 + load(solver, row + 4) * x1 + load(solver, row + 5) * x2
            )
            z1 = load(solver, row + 1) + (
                load(solver, row + 6) * x0 + load(solver, row + 7) * x1 + load(solver, row + 8) * x2
            )
            z2 = load(solver, row + 2) + (
                load(solver, row + 9) * x0 + load(solver, row + 10) * x1 + load(solver, row + 11) * x2
            )
            x0, x1, x2 = z0, z1, z2
            row = SOLVER_FIELDS * i
            store(solver, row, x0)
            store(solver, row + 1, x1)
            store(solver, row + 2, x2)
            if last:
                u = load(state, 3 * i + U) + 2.0 * x0
                e = load(state, 3 * i + E) + 2.0 * x1
                b = load(state, 3 * i + B) + 2.0 * x2
                store(state, 3 * i + U, u)
                store(state, 3 * i + E, e)
                store(state, 3 * i + B, b)
                lowest = smaller(smaller(u, e), smaller(b, lowest))
                check = check + (u + e + b) * 0.0
    return lowest + check


@_compile
def advance_concentrations_euler(
    state, p, nodes, parent, side, kinetics, drive, site, source, dt, with_ip3, solver, sides
):
    """Backward Euler step that keeps all concentrations from becoming negative, for any step and open probability.

    First diffusion and membrane fluxes: every removal is the product of a non-negative factor, taken at the beginning
    of the step, and the new concentration, so that the matrix of (u, e) has no positive entry off its diagonal and is
    strictly dominant by columns: its inverse has no negative entry. Diffusion of bound calbindin likewise. Then the
    binding at each node by itself: backward Euler has one root between 0 and all there is.

    Parameters and work space as in `advance_concentrations`; returns the same too.
    """
    n = parent.shape[0]
    h_inverse = 1.0 / dt
    zero = fill_like(state, 0.0)
    ryanodine, er_leak = load(kinetics, RYANODINE), load(kinetics, ER_LEAK)
    serca, serca_k = load(kinetics, SERCA), load(kinetics, SERCA_AFFINITY)
    pmca, pmca_k2 = load(kinetics, PMCA), load(kinetics, PMCA_AFFINITY_SQUARED)
    ncx, ncx_k = load(kinetics, NCX), load(kinetics, NCX_AFFINITY)
    plasma_rate = load(kinetics, PLASMA_LEAK) + load(drive, PLASMA_OUT)
    plasma_in = load(kinetics, PLASMA_LEAK) * load(kinetics, OUTSIDE) + load(drive, PLASMA_IN)
    total, on, off = load(kinetics, CALBINDIN), load(kinetics, BINDING), load(kinetics, UNBINDING)
    ip3_receptor, ip3 = load(kinetics, IP3_RECEPTOR), load(drive, IP3)
    influx = load(drive, INFLUX)
    lowest, check = fill_like(state, np.inf), zero
    for row in range(sides.shape[0]):
        store(sides, row, zero)
    m00 = m01 = m10 = m11 = m22 = zero
    r0 = r1 = r2 = zero
    for i in range(n - 1, -1, -1):
        at = NODE_FIELDS * i
        v_c, v_e = load(nodes, at + CYTOSOL_VOLUME), load(nodes, at + ER_VOLUME)
        s_e, s_p = load(nodes, at + ER_AREA), load(nodes, at + PLASMA_AREA)
        u, e, b = load(state, 3 * i + U), load(state, 3 * i + E), load(state, 3 * i + B)
        if side[i] >= 0:
            row = SIDE_FIELDS * side[i]
            m00, m01 = m00 + load(sides, row), m01 + load(sides, row + 1)
            m10, m11, m22 = m10 + load(sides, row + 3), m11 + load(sides, row + 4), m22 + load(sides, row + 8)
            r0, r1, r2 = r0 + load(sides, row + 9), r1 + load(sides, row + 10), r2 + load(sides, row + 11)
        leak = ryanodine * load(p, i) + er_leak
        if with_ip3:
            product = u * ip3
            gate = product * _D2 / ((product + ip3 * _D2 + _D1 * _D2 + u * _D3) * (u + _D5))
            leak = leak + ip3_receptor * gate * gate * gate
        to_u = s_e * (leak + serca / ((serca_k + u) * e))
        to_e = s_e * leak
        plasma = plasma_rate + pmca * u / (pmca_k2 + u * u) + ncx / (ncx_k + u)
        g0 = g1 = g2 = zero
        up = parent[i]
        if up >= 0:
            g0, g1 = load(nodes, at + CYTOSOL_COUPLING), load(nodes, at + ER_COUPLING)
            g2 = load(nodes, at + CALBINDIN_COUPLING)
        m00 = m00 + (v_c * h_inverse + g0 + to_u + s_p * plasma)
        m01 = m01 - to_e
        m10 = m10 - to_u
        m11 = m11 + (v_e * h_inverse + g1 + to_e)
        m22 = m22 + (v_c * h_inverse + g2)
        r0 = r0 + (v_c * h_inverse * u + s_p * plasma_in)
        r1 = r1 + v_e * h_inverse * e
        r2 = r2 + v_c * h_inverse * (total - b)
        if i == site:
            r0 = r0 + influx
        if source.shape[0] > 0:
            r0, r1 = r0 + load(source, 3 * i + U), r1 + load(source, 3 * i + E)
            r2 = r2 - load(source, 3 * i + B)
        inverse = 1.0 / (m00 * m11 - m01 * m10)
        y0, y1 = inverse * (m11 * r0 - m01 * r1), inverse * (m00 * r1 - m10 * r0)
        inverse2 = 1.0 / m22
        y2 = inverse2 * r2
        k00, k01 = inverse * m11 * g0, (zero - inverse) * m01 * g1
        k10, k11 = (zero - inverse) * m10 * g0, inverse * m00 * g1
        k22 = inverse2 * g2
        row = SOLVER_FIELDS * i + 3
        store(solver, row, y0)
        store(solver, row + 1, y1)
        store(solver, row + 2, y2)
        store(solver, row + 3, k00)
        store(solver, row + 4, k01)
        store(solver, row + 6, k10)
        store(solver, row + 7, k11)
        store(solver, row + 11, k22)
        m00, m01 = g0 - g0 * k00, zero - g0 * k01
        m10, m11 = zero - g1 * k10, g1 - g1 * k11
        m22 = g2 - g2 * k22
        r0, r1, r2 = g0 * y0, g1 * y1, g2 * y2
        if up >= 0 and up != i - 1:
            row = SIDE_FIELDS * side[up]
            store(sides, row, load(sides, row) + m00)
            store(sides, row + 1, load(sides, row + 1) + m01)
            store(sides, row + 3, load(sides, row + 3) + m10)
            store(sides, row + 4, load(sides, row + 4) + m11)
            store(sides, row + 8, load(sides, row + 8) + m22)
            store(sides, row + 9, load(sides, row + 9) + r0)
            store(sides, row + 10, load(sides, row + 10) + r1)
            store(sides, row + 11, load(sides, row + 11) + r2)
            m00 = m01 = m10 = m11 = m22 = zero
            r0 = r1 = r2 = zero
    x0 = x1 = x2 = zero
    for i in range(n):
        up = parent[i]
        if up >= 0 and up != i - 1:
            row = SOLVER_FIELDS * up
            x0, x1, x2 = load(solver, row), load(solver, row + 1), load(solver, row + 2)
        row = SOLVER_FIELDS * i + 3
        z0 = load(solver, row) + (load(solver, row + 3) * x0 + load(solver, row + 4) * x1)
        z1 = load(solver, row + 1) + (load(solver, row + 6) * x0 + load(solver, row + 7) * x1)
        x2 = load(solver, row + 2) + load(solver, row + 11) * x2
        x0, x1 = z0, z1
        row = SOLVER_FIELDS * i
        store(solver, row, x0)
        store(solver, row + 1, x1)
        store(solver, row + 2, x2)
        # s' = s + dt (on (total - s') (all - s') - off s'), all = u + s: the smaller root, in the form without
        # cancellation.
        everything = x0 + x2
        linear = 1.0 + dt * (on * (total + everything) + off)
        constant = x2 + dt * on * total * everything
        root = root_of(linear * linear - 4.0 * dt * on * constant)
        bound = 2.0 * constant / (linear + root)
        # Both free forms from quotients of positive numbers: no difference of near numbers can turn negative.
        u = (x0 + dt * off * bound) / (1.0 + dt * on * (total - bound))
        b = (total - x2 + dt * off * bound) / (1.0 + dt * on * u)
        store(state, 3 * i + U, u)
        store(state, 3 * i + E, x1)
        store(state, 3 * i + B, b)
        lowest = smaller(smaller(u, x1), smaller(b, lowest))
        check = check + (u + x1 + b) * 0.0
    return lowest + check


@_compile
def observe(p, before, time, dt, threshold, state, arrival, arrived, peak):
    """Note the first crossing of a threshold by the open probability and the largest cytosolic calcium of each node.

    Parameters
    ----------
    p, before : (n) open probability at ``time`` and one step ``dt`` earlier; ``before`` becomes ``p``.
    arrival : (n) time of the crossing, linear between the two; arrived (n) uint8, bits of the lanes that have crossed.
    peak : (n) largest cytosolic calcium.
    """
    n = arrived.shape[0]
    level = fill_like(p, threshold)
    for i in range(n):
        now = load(p, i)
        bits = greater_bits(now, level) & ~arrived[i]
        if bits:
            for lane in range(LANES):
                if (bits >> lane) & 1:
                    new, old = pick(p, i, lane), pick(before, i, lane)
                    put(arrival, i, lane, time - dt * (new - threshold) / (new - old) if new > old else time)
            arrived[i] |= bits
        store(before, i, now)
        store(peak, i, larger(load(state, 3 * i + U), load(peak, i)))


@_compile
def sample(state, p, before, weight, sites, trace):
    """Copy u, e, b and open probability of some nodes into ``trace`` (4 sites).

    Receptors stand half a step beside the concentrations, so ``weight p + (1 - weight) before`` is what belongs to
    them.
    """
    for k in range(sites.shape[0]):
        i = sites[k]
        store(trace, 4 * k, load(state, 3 * i + U))
        store(trace, 4 * k + 1, load(state, 3 * i + E))
        store(trace, 4 * k + 2, load(state, 3 * i + B))
        store(trace, 4 * k + 3, weight * load(p, i) + (1.0 - weight) * load(before, i))


@_compile
def holds(lowest, state, used):
    """Whether the smallest concentration of all used lanes is neither negative nor NaN."""
    return greater_bits(lowest, fill_like(state, -1e-300)) & used == used


@_compile
def step_cables(
    state, p, nodes, parent, side, kinetics, drive, site, source, dt, passes, euler, with_ip3, used, solver, sides
):
    """One step of the concentrations of all blocks of cables, for receptors that something else advances.

    Parameters
    ----------
    state, p, nodes, kinetics, drive, source : as in `advance_concentrations`, behind an axis of blocks.
    used : (blocks) bits of the lanes that hold a cable.

    Returns
    -------
    number of the first block where a used lane holds a negative number or NaN, -1 if there is none.
    """
    wrong = -1
    for block in range(state.shape[0] - 1, -1, -1):
        if euler:
            lowest = advance_concentrations_euler(
                state[block], p[block], nodes[block], parent, side, kinetics[block], drive[block], site, source[block],
                dt, with_ip3, solver, sides,
            )  # fmt: skip
        else:
            lowest = advance_concentrations(
                state[block], p[block], nodes[block], parent, side, kinetics[block], drive[block], site, source[block],
                dt, passes, with_ip3, solver, sides,
            )  # fmt: skip
        if not holds(lowest, state[block], used[block]):
            wrong = block
    return wrong


@_compile
def observe_cables(p, before, time, dt, threshold, state, arrival, arrived, peak):
    """`observe` for all blocks of cables."""
    for block in range(state.shape[0]):
        observe(p[block], before[block], time, dt, threshold, state[block], arrival[block], arrived[block], peak[block])


@_compile
def run_ryanodine_cable(
    state, channel, p, nodes, parent, side, kinetics, drive, site, first, dt, passes, euler, with_ip3, used, threshold,
    arrival, arrived, peak, sites, every, traces, solver, sides, before
):  # fmt: skip
    """Steps of cables with Keizer-Levine receptors, as many as ``drive`` has rows.

    Parameters
    ----------
    drive : (steps, 4) as in `advance_concentrations`.
    first : number of the first step; the state is that at time ``first * dt``.
    used : bits of the lanes that hold a cable.
    sites, every, traces : nodes to be sampled after every so many steps, into (samples, 4 sites).
    The others as in `advance_ryanodine`, `advance_concentrations`, `observe`.

    Returns
    -------
    number of steps done: fewer than asked for when a concentration became negative or NaN in the last one.
    """
    n = parent.shape[0]
    nothing = state[:0]
    for k in range(drive.shape[0]):
        step = first + k
        if not euler and step == 0:
            advance_ryanodine(channel, p, state, 3, kinetics, 0.5 * dt, n, False)
            observe(p, before, 0.5 * dt, dt, threshold, state, arrival, arrived, peak)
        if euler:
            advance_ryanodine(channel, p, state, 3, kinetics, dt, n, True)
            lowest = advance_concentrations_euler(
                state, p, nodes, parent, side, kinetics, drive[k], site, nothing, dt, with_ip3, solver, sides
            )
        else:
            lowest = advance_concentrations(
                state, p, nodes, parent, side, kinetics, drive[k], site, nothing, dt, passes, with_ip3, solver, sides
            )
            advance_ryanodine(channel, p, state, 3, kinetics, dt, n, False)
        if not holds(lowest, state, used):
            return k + 1
        if (step + 1) % every == 0:
            weight = 1.0 if euler else 0.5
            sample(state, p, before, weight, sites, traces[(step + 1) // every - 1 - first // every])
        observe(p, before, (step + (1.0 if euler else 1.5)) * dt, dt, threshold, state, arrival, arrived, peak)
    return drive.shape[0]
