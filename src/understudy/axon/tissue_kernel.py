"""Compiled kernels of the brain's finite elements: one-point cubes in total-Lagrangian explicit dynamics.

All elements are cubes of one size along the axes, so the eight corner values of a component turn into modes by a fast
Walsh-Hadamard transform: the three linear modes give the deformation gradient at the centre (the constant B matrix of
a cube), and the four others are the hourglass modes, whose base vectors are orthogonal to every affine field (they are
Flanagan and Belytschko's gamma vectors of a cube). The transposed transform spreads the modal forces over the corners.

Elements are worked on in blocks of `LANES`: short loops of constant length over one flat scratch array compile to
vector instructions, nothing is allocated, and forces are added in a fixed order, so bits do not vary.

Mode numbers: 1, 2, 4 are linear in x, y, z; 3, 5, 6, 7 are xy, xz, yz, xyz. Symmetric tensors: 11, 22, 33, 12, 13, 23.

Sources: Flanagan & Belytschko 1981, Int J Numer Meth Eng 17:679 (hourglass control); Simo 1987, Comput Methods Appl
Mech Eng 60:153 (convolution); Gasser, Ogden & Holzapfel 2006, J R Soc Interface 3:15 (fibre dispersion).
"""

from __future__ import annotations

import numba

LANES = 16
MATERIAL_ROWS = 7
"""Rows of a material block: shear modulus, fibre stiffness, viscous weight (0 or 1), fibre direction (3), hourglass
stiffness (N/m)."""
SCRATCH_ROWS = 44

# Scratch rows: 0-23 corner values, then modes, of the three components; 24-29 deviatoric stress; 30-35 total stress;
# 36-41 Green-Lagrange strain; 42 volume ratio; 43 sum over Prony terms of strain : overstress / relaxation time.
_L = LANES
_DEVIATORIC = 24 * _L
_TOTAL = 30 * _L
_STRAIN = 36 * _L
_VOLUME = 42 * _L
_RELAXING = 43 * _L

# Volume ratios outside this range mean that the run has diverged: brain tissue is nearly incompressible.
VOLUME_RATIO_MIN = 0.5
VOLUME_RATIO_MAX = 1.5

# No nnan/ninf: divergence is found by comparisons that a NaN must fail.
_OPTIONS = {"cache": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}


@numba.njit(inline="always", **_OPTIONS)
def _corner_values_to_modes(w, base):
    """Walsh-Hadamard transform of the eight rows from ``base``, in place; the constant mode is not needed."""
    for l in range(_L):
        a0, a1, a2, a3 = w[base + l], w[base + _L + l], w[base + 2 * _L + l], w[base + 3 * _L + l]
        a4, a5, a6, a7 = w[base + 4 * _L + l], w[base + 5 * _L + l], w[base + 6 * _L + l], w[base + 7 * _L + l]
        s01, d01, s32, d32 = a0 + a1, a1 - a0, a3 + a2, a2 - a3
        s45, d45, s76, d76 = a4 + a5, a5 - a4, a7 + a6, a6 - a7
        x_low, y_low, xy_low, sum_low = d01 + d32, s32 - s01, d32 - d01, s01 + s32
        x_high, y_high, xy_high, sum_high = d45 + d76, s76 - s45, d76 - d45, s45 + s76
        w[base + _L + l] = x_low + x_high
        w[base + 2 * _L + l] = y_low + y_high
        w[base + 3 * _L + l] = xy_low + xy_high
        w[base + 4 * _L + l] = sum_high - sum_low
        w[base + 5 * _L + l] = x_high - x_low
        w[base + 6 * _L + l] = y_high - y_low
        w[base + 7 * _L + l] = xy_high - xy_low


@numba.njit(inline="always", **_OPTIONS)
def _modes_to_corner_values(w, base):
    """Transposed transform of the modal forces (constant mode zero) to the eight corners, in place."""
    for l in range(_L):
        g1, g2, g3, g4 = w[base + _L + l], w[base + 2 * _L + l], w[base + 3 * _L + l], w[base + 4 * _L + l]
        g5, g6, g7 = w[base + 5 * _L + l], w[base + 6 * _L + l], w[base + 7 * _L + l]
        x_low, y_low, xy_low = g1 - g5, g2 - g6, g3 - g7
        x_high, y_high, xy_high = g1 + g5, g2 + g6, g3 + g7
        even_front_low, odd_front_low = -g4 - y_low, x_low - xy_low
        even_back_low, odd_back_low = y_low - g4, x_low + xy_low
        even_front_high, odd_front_high = g4 - y_high, x_high - xy_high
        even_back_high, odd_back_high = g4 + y_high, x_high + xy_high
        w[base + l] = even_front_low - odd_front_low
        w[base + _L + l] = even_front_low + odd_front_low
        w[base + 2 * _L + l] = even_back_low + odd_back_low
        w[base + 3 * _L + l] = even_back_low - odd_back_low
        w[base + 4 * _L + l] = even_front_high - odd_front_high
        w[base + 5 * _L + l] = even_front_high + odd_front_high
        w[base + 6 * _L + l] = even_back_high + odd_back_high
        w[base + 7 * _L + l] = even_back_high - odd_back_high


@numba.njit(inline="always", **_OPTIONS)
def _equilibrium_stress(w, material, gradient, bulk, dispersion, long_time):
    """Strain, volume ratio, deviatoric stress S_iso and ``long_time S_iso + K J (J - 1) C^-1`` of a block.

    The compression of the tensor algebra: S_iso = J^(-2/3) (a I + b n n - c C^-1), where c makes it C-deviatoric.
    """
    aligned = 1.0 - 3.0 * dispersion
    for l in range(_L):
        f11, f12, f13 = w[_L + l] * gradient, w[2 * _L + l] * gradient, w[4 * _L + l] * gradient
        f21, f22, f23 = w[9 * _L + l] * gradient, w[10 * _L + l] * gradient, w[12 * _L + l] * gradient
        f31, f32, f33 = w[17 * _L + l] * gradient, w[18 * _L + l] * gradient, w[20 * _L + l] * gradient
        c11 = f11 * f11 + f21 * f21 + f31 * f31
        c22 = f12 * f12 + f22 * f22 + f32 * f32
        c33 = f13 * f13 + f23 * f23 + f33 * f33
        c12 = f11 * f12 + f21 * f22 + f31 * f32
        c13 = f11 * f13 + f21 * f23 + f31 * f33
        c23 = f12 * f13 + f22 * f23 + f32 * f33
        j = f11 * (f22 * f33 - f23 * f32) - f12 * (f21 * f33 - f23 * f31) + f13 * (f21 * f32 - f22 * f31)
        inverse_j2 = 1.0 / (j * j)
        i11 = (c22 * c33 - c23 * c23) * inverse_j2
        i22 = (c11 * c33 - c13 * c13) * inverse_j2
        i33 = (c11 * c22 - c12 * c12) * inverse_j2
        i12 = (c13 * c23 - c12 * c33) * inverse_j2
        i13 = (c12 * c23 - c13 * c22) * inverse_j2
        i23 = (c12 * c13 - c23 * c11) * inverse_j2
        # J^(-1/3) by Newton's iteration from its series: exact to rounding for 0.5 < J < 1.5 and free of calls, which
        # would keep the loop from being vectorised.
        d = j - 1.0
        y = 1.0 + d * (-1.0 / 3.0 + d * (2.0 / 9.0))
        y = y * (4.0 - j * y * y * y) * (1.0 / 3.0)
        y = y * (4.0 - j * y * y * y) * (1.0 / 3.0)
        y = y * (4.0 - j * y * y * y) * (1.0 / 3.0)
        y = y * (4.0 - j * y * y * y) * (1.0 / 3.0)
        isochoric = y * y
        shear = material[l]
        stiffness = material[_L + l]
        weight = material[2 * _L + l]
        n1, n2, n3 = material[3 * _L + l], material[4 * _L + l], material[5 * _L + l]
        trace = c11 + c22 + c33
        stretch2 = n1 * n1 * c11 + n2 * n2 * c22 + n3 * n3 * c33 + 2.0 * (n1 * n2 * c12 + n1 * n3 * c13 + n2 * n3 * c23)
        structure = dispersion * trace + aligned * stretch2
        # kappa (I1bar - 3) + (1 - 3 kappa) (I4bar - 1); only tension loads the fibres.
        fibre_strain = isochoric * structure - 1.0
        tension = 2.0 * stiffness * max(fibre_strain, 0.0)
        a = isochoric * (shear + tension * dispersion)
        b = isochoric * tension * aligned
        c = isochoric * (shear * trace + tension * structure) * (1.0 / 3.0)
        s11 = a + b * n1 * n1 - c * i11
        s22 = a + b * n2 * n2 - c * i22
        s33 = a + b * n3 * n3 - c * i33
        s12 = b * n1 * n2 - c * i12
        s13 = b * n1 * n3 - c * i13
        s23 = b * n2 * n3 - c * i23
        w[_DEVIATORIC + l], w[_DEVIATORIC + _L + l], w[_DEVIATORIC + 2 * _L + l] = s11, s22, s33
        w[_DEVIATORIC + 3 * _L + l], w[_DEVIATORIC + 4 * _L + l], w[_DEVIATORIC + 5 * _L + l] = s12, s13, s23
        share = 1.0 - weight * (1.0 - long_time)
        pressure = bulk * j * d
        w[_TOTAL + l] = share * s11 + pressure * i11
        w[_TOTAL + _L + l] = share * s22 + pressure * i22
        w[_TOTAL + 2 * _L + l] = share * s33 + pressure * i33
        w[_TOTAL + 3 * _L + l] = share * s12 + pressure * i12
        w[_TOTAL + 4 * _L + l] = share * s13 + pressure * i13
        w[_TOTAL + 5 * _L + l] = share * s23 + pressure * i23
        w[_STRAIN + l], w[_STRAIN + _L + l], w[_STRAIN + 2 * _L + l] = (
            0.5 * (c11 - 1.0),
            0.5 * (c22 - 1.0),
            0.5 * (c33 - 1.0),
        )
        w[_STRAIN + 3 * _L + l], w[_STRAIN + 4 * _L + l], w[_STRAIN + 5 * _L + l] = 0.5 * c12, 0.5 * c13, 0.5 * c23
        w[_VOLUME + l] = j
        w[_RELAXING + l] = 0.0


@numba.njit(inline="always", **_OPTIONS)
def _relax(w, material, memory, gain, decay, rate):
    """One Prony term: overstress h = memory + gain S_iso, and the memory of the next step, decay h - gain S_iso.

    This is h <- exp(-dt/T) h + g exp(-dt/2T) (S_iso_new - S_iso_old) with one stored tensor instead of two.
    """
    for row in range(6):
        double = 1.0 if row < 3 else 2.0
        for l in range(_L):
            instant = gain * material[2 * _L + l] * w[_DEVIATORIC + row * _L + l]
            overstress = memory[row * _L + l] + instant
            memory[row * _L + l] = decay * overstress - instant
            w[_TOTAL + row * _L + l] += overstress
            w[_RELAXING + l] += double * rate * overstress * w[_STRAIN + row * _L + l]


@numba.njit(inline="always", **_OPTIONS)
def _modal_forces(w, material, gradient, modal_area):
    """First Piola stress P = F S and hourglass stresses as modal forces, over the modes in place."""
    for l in range(_L):
        s11, s22, s33 = w[_TOTAL + l], w[_TOTAL + _L + l], w[_TOTAL + 2 * _L + l]
        s12, s13, s23 = w[_TOTAL + 3 * _L + l], w[_TOTAL + 4 * _L + l], w[_TOTAL + 5 * _L + l]
        hourglass = material[6 * _L + l]
        scale = gradient * modal_area
        fx, fy, fz = w[_L + l] * scale, w[2 * _L + l] * scale, w[4 * _L + l] * scale
        w[_L + l] = fx * s11 + fy * s12 + fz * s13
        w[2 * _L + l] = fx * s12 + fy * s22 + fz * s23
        w[4 * _L + l] = fx * s13 + fy * s23 + fz * s33
        fx, fy, fz = w[9 * _L + l] * scale, w[10 * _L + l] * scale, w[12 * _L + l] * scale
        w[9 * _L + l] = fx * s11 + fy * s12 + fz * s13
        w[10 * _L + l] = fx * s12 + fy * s22 + fz * s23
        w[12 * _L + l] = fx * s13 + fy * s23 + fz * s33
        fx, fy, fz = w[17 * _L + l] * scale, w[18 * _L + l] * scale, w[20 * _L + l] * scale
        w[17 * _L + l] = fx * s11 + fy * s12 + fz * s13
        w[18 * _L + l] = fx * s12 + fy * s22 + fz * s23
        w[20 * _L + l] = fx * s13 + fy * s23 + fz * s33
        w[3 * _L + l] *= hourglass
        w[5 * _L + l] *= hourglass
        w[6 * _L + l] *= hourglass
        w[7 * _L + l] *= hourglass
        w[11 * _L + l] *= hourglass
        w[13 * _L + l] *= hourglass
        w[14 * _L + l] *= hourglass
        w[15 * _L + l] *= hourglass
        w[19 * _L + l] *= hourglass
        w[21 * _L + l] *= hourglass
        w[22 * _L + l] *= hourglass
        w[23 * _L + l] *= hourglass


@numba.njit(**_OPTIONS)
def add_internal_forces(
    positions, elements, n_elements, material, memory, edge, bulk, dispersion, long_time, gain, decay, rate, w, force
):
    """Add the internal nodal forces of all elements and move the viscous memory on by one step.

    Parameters
    ----------
    positions : (n, 3) m.
    elements : (blocks * LANES, 8) int32; beyond ``n_elements`` any valid node numbers.
    material : (blocks, MATERIAL_ROWS * LANES).
    memory : (blocks, terms, 6 * LANES), Pa; updated.
    edge, bulk, dispersion, long_time : edge in m, bulk modulus in Pa, fibre dispersion, long-time share of S_iso.
    gain, decay, rate : (terms,) g exp(-dt/2T), exp(-dt/T) and 1/T in 1/s.
    w : (SCRATCH_ROWS * LANES,) scratch.
    force : (n, 3) N; added to.

    Returns
    -------
    element : first element whose volume ratio left its range or is NaN, or -1.
    relaxing_power : sum over elements and Prony terms of volume * strain : overstress / relaxation time, W.
    """
    gradient = 0.25 / edge
    modal_area = 0.25 * edge * edge
    volume = edge * edge * edge
    relaxing_power = 0.0
    for block in range(material.shape[0]):
        first = block * _L
        for l in range(_L):
            for corner in range(8):
                node = elements[first + l, corner]
                w[corner * _L + l] = positions[node, 0]
                w[(8 + corner) * _L + l] = positions[node, 1]
                w[(16 + corner) * _L + l] = positions[node, 2]
        block_material = material[block]
        _corner_values_to_modes(w, 0)
        _corner_values_to_modes(w, 8 * _L)
        _corner_values_to_modes(w, 16 * _L)
        _equilibrium_stress(w, block_material, gradient, bulk, dispersion, long_time)
        for term in range(gain.shape[0]):
            _relax(w, block_material, memory[block, term], gain[term], decay[term], rate[term])
        _modal_forces(w, block_material, gradient, modal_area)
        _modes_to_corner_values(w, 0)
        _modes_to_corner_values(w, 8 * _L)
        _modes_to_corner_values(w, 16 * _L)
        for l in range(min(_L, n_elements - first)):
            if not (VOLUME_RATIO_MIN < w[_VOLUME + l] < VOLUME_RATIO_MAX):
                return first + l, relaxing_power
            relaxing_power += volume * w[_RELAXING + l]
            for corner in range(8):
                node = elements[first + l, corner]
                force[node, 0] += w[corner * _L + l]
                force[node, 1] += w[(8 + corner) * _L + l]
                force[node, 2] += w[(16 + corner) * _L + l]
    return -1, relaxing_power


@numba.njit(**_OPTIONS)
def advance(
    positions, velocity, mass, mobility, skull, skull_reference, rotations, dt,
    elements, n_elements, material, memory, edge, bulk, dispersion, long_time, gain, decay, rate, w, force, totals,
):  # fmt: skip
    """Central differences over ``len(rotations)`` steps of ``dt``.

    Parameters
    ----------
    positions, velocity : (n, 3) positions in m at the current time, velocities in m/s half a step earlier; updated.
    mass : (n,) lumped mass in kg.
    mobility : (n, 3) inverse mass in 1/kg, zero for a component that keeps its velocity.
    skull, skull_reference : (s,) prescribed nodes and (s, 3) their reference positions.
    rotations : (steps, 3, 3) rotation of the skull at the end of each step.
    totals : (5,) updated: 0 external work and 1 integral of the relaxing power up to the current time (trapezoidal
        rule), 2-4 kinetic energy and those two at the time at which the call began, all in J.

    Other parameters as in `add_internal_forces`.

    Returns
    -------
    step, element : the step and element at which the run diverged, or (-1, -1).
    """
    n_nodes = positions.shape[0]
    for step in range(rotations.shape[0]):
        force[:] = 0.0
        element, relaxing_power = add_internal_forces(
            positions, elements, n_elements, material, memory, edge, bulk, dispersion, long_time, gain, decay, rate,
            w, force,
        )  # fmt: skip
        if element >= 0:
            return step, element
        kinetic = 0.0
        if step == 0:
            for node in range(n_nodes):
                v1, v2, v3 = velocity[node, 0], velocity[node, 1], velocity[node, 2]
                kinetic += mass[node] * (v1 * v1 + v2 * v2 + v3 * v3)
        skull_power = 0.0
        for s in range(skull.shape[0]):
            node = skull[s]
            r1, r2, r3 = skull_reference[s, 0], skull_reference[s, 1], skull_reference[s, 2]
            for i in range(3):
                target = rotations[step, i, 0] * r1 + rotations[step, i, 1] * r2 + rotations[step, i, 2] * r3
                before = velocity[node, i]
                after = (target - positions[node, i]) / dt
                # The skull carries the nodes' inertia and internal force.
                reaction = mass[node] * (after - before) / dt + force[node, i]
                skull_power += reaction * 0.5 * (before + after)
                velocity[node, i] = after
        for node in range(n_nodes):
            for i in range(3):
                velocity[node, i] -= dt * mobility[node, i] * force[node, i]
                positions[node, i] += dt * velocity[node, i]
        if step == 0:
            for node in range(n_nodes):
                v1, v2, v3 = velocity[node, 0], velocity[node, 1], velocity[node, 2]
                kinetic += mass[node] * (v1 * v1 + v2 * v2 + v3 * v3)
            totals[2] = 0.25 * kinetic
            totals[3] = totals[0] + 0.5 * dt * skull_power
            totals[4] = totals[1] + 0.5 * dt * relaxing_power
        totals[0] += dt * skull_power
        totals[1] += dt * relaxing_power
    return -1, -1
