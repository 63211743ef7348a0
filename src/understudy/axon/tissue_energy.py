"""Stored energy and stress of the brain's finite elements as functions of state.

Written from the energy densities, element by element, and not from the blocked kernel: the energy balance of a run
compares the two.
"""

from __future__ import annotations

import numba
import numpy as np

from understudy.axon.brain_mesh import HEX_CORNERS

_OPTIONS = {"cache": True, "error_model": "numpy"}

# Signs of the corners of the standard hexahedron in the modes x, y, z, xy, xz, yz, xyz.
_X, _Y, _Z = (2.0 * HEX_CORNERS - 1.0).T
MODES = np.stack([_X, _Y, _Z, _X * _Y, _X * _Z, _Y * _Z, _X * _Y * _Z])


@numba.njit(**_OPTIONS)
def right_cauchy_green(f):
    """C = F^T F as (C11, C22, C33, C12, C13, C23) of a deformation gradient given by rows as nine numbers."""
    f11, f12, f13, f21, f22, f23, f31, f32, f33 = f
    return (
        f11 * f11 + f21 * f21 + f31 * f31,
        f12 * f12 + f22 * f22 + f32 * f32,
        f13 * f13 + f23 * f23 + f33 * f33,
        f11 * f12 + f21 * f22 + f31 * f32,
        f11 * f13 + f21 * f23 + f31 * f33,
        f12 * f13 + f22 * f23 + f32 * f33,
    )


@numba.njit(**_OPTIONS)
def determinant(f):
    """Determinant of nine numbers by rows."""
    f11, f12, f13, f21, f22, f23, f31, f32, f33 = f
    return f11 * (f22 * f33 - f23 * f32) - f12 * (f21 * f33 - f23 * f31) + f13 * (f21 * f32 - f22 * f31)


@numba.njit(**_OPTIONS)
def fibre_strain(f, direction, dispersion):
    """Ebar = kappa (I1bar - 3) + (1 - 3 kappa) (I4bar - 1) of a unit direction (3 numbers)."""
    c11, c22, c33, c12, c13, c23 = right_cauchy_green(f)
    n1, n2, n3 = direction
    isochoric = determinant(f) ** (-2.0 / 3.0)
    stretch2 = n1 * n1 * c11 + n2 * n2 * c22 + n3 * n3 * c33
    stretch2 += 2.0 * (n1 * n2 * c12 + n1 * n3 * c13 + n2 * n3 * c23)
    return dispersion * (isochoric * (c11 + c22 + c33) - 3.0) + (1.0 - 3.0 * dispersion) * (isochoric * stretch2 - 1.0)


@numba.njit(**_OPTIONS)
def strain_energy_density(f, shear, stiffness, direction, dispersion):
    """Isochoric neo-Hookean and fibre energy density in J/m3.

    Parameters
    ----------
    f : nine numbers, deformation gradient by rows.
    shear, stiffness : shear modulus and fibre stiffness in Pa.
    direction : three numbers, unit fibre direction.
    dispersion : 0 aligned, 1/3 isotropic.
    """
    c11, c22, c33, _, _, _ = right_cauchy_green(f)
    energy = 0.5 * shear * (determinant(f) ** (-2.0 / 3.0) * (c11 + c22 + c33) - 3.0)
    if stiffness > 0.0:
        energy += 0.5 * stiffness * max(fibre_strain(f, direction, dispersion), 0.0) ** 2
    return energy


@numba.njit(**_OPTIONS)
def isochoric_stress(f, shear, stiffness, direction, dispersion):
    """Second Piola-Kirchhoff stress S_iso in Pa of `strain_energy_density`, (11, 22, 33, 12, 13, 23)."""
    c11, c22, c33, c12, c13, c23 = right_cauchy_green(f)
    n1, n2, n3 = direction
    det = c11 * (c22 * c33 - c23 * c23) - c12 * (c12 * c33 - c23 * c13) + c13 * (c12 * c23 - c22 * c13)
    isochoric = det ** (-1.0 / 3.0)
    fibre = 0.0
    if stiffness > 0.0:
        fibre = 2.0 * stiffness * max(fibre_strain(f, direction, dispersion), 0.0)
    # dW/dC before the deviator: shear/2 I + fibre/2 H.
    plain = shear + fibre * dispersion
    aligned = fibre * (1.0 - 3.0 * dispersion)
    t11, t22, t33 = plain + aligned * n1 * n1, plain + aligned * n2 * n2, plain + aligned * n3 * n3
    t12, t13, t23 = aligned * n1 * n2, aligned * n1 * n3, aligned * n2 * n3
    mean = (t11 * c11 + t22 * c22 + t33 * c33 + 2.0 * (t12 * c12 + t13 * c13 + t23 * c23)) / (3.0 * det)
    return (
        isochoric * (t11 - mean * (c22 * c33 - c23 * c23)),
        isochoric * (t22 - mean * (c11 * c33 - c13 * c13)),
        isochoric * (t33 - mean * (c11 * c22 - c12 * c12)),
        isochoric * (t12 - mean * (c13 * c23 - c12 * c33)),
        isochoric * (t13 - mean * (c12 * c23 - c13 * c22)),
        isochoric * (t23 - mean * (c12 * c13 - c23 * c11)),
    )


@numba.njit(**_OPTIONS)
def stored_energies(
    signs, positions, elements, n_elements, material, memory, edge, bulk, dispersion, long_time, prony, gain
):
    """Energies of all elements in J at positions (n, 3), before the step's forces are computed.

    Parameters as in `tissue_kernel.add_internal_forces`; ``signs`` are `MODES` and ``prony`` (terms,) the relative
    moduli. Constants of other modules come as arguments, because numba's cache would keep their old values.

    Returns
    -------
    strain : long-time isochoric, fibre and volumetric energy.
    branches : state part of the work done on the Maxwell branches, g W - (g S_iso - h) : E. Together with the time
        integral of E : h / T this is that work (integration by parts of h : dE), stored and dissipated.
    hourglass : energy of the hourglass modes.
    """
    strain = 0.0
    branches = 0.0
    hourglass = 0.0
    lanes = memory.shape[2] // 6
    volume = edge**3
    gradient = 0.25 / edge
    modes = np.empty((3, 7))
    for element in range(n_elements):
        block, lane = element // lanes, element % lanes
        modes[:] = 0.0
        for corner in range(8):
            node = elements[element, corner]
            for i in range(3):
                for mode in range(7):
                    modes[i, mode] += signs[mode, corner] * positions[node, i]
        shear, stiffness = material[block, lane], material[block, lanes + lane]
        weight = material[block, 2 * lanes + lane]
        direction = (
            material[block, 3 * lanes + lane],
            material[block, 4 * lanes + lane],
            material[block, 5 * lanes + lane],
        )
        f = (
            modes[0, 0] * gradient,
            modes[0, 1] * gradient,
            modes[0, 2] * gradient,
            modes[1, 0] * gradient,
            modes[1, 1] * gradient,
            modes[1, 2] * gradient,
            modes[2, 0] * gradient,
            modes[2, 1] * gradient,
            modes[2, 2] * gradient,
        )
        energy = strain_energy_density(f, shear, stiffness, direction, dispersion)
        stress = isochoric_stress(f, shear, stiffness, direction, dispersion)
        cauchy_green = right_cauchy_green(f)
        share = 1.0 - weight * (1.0 - long_time)
        strain += volume * (share * energy + 0.5 * bulk * (determinant(f) - 1.0) ** 2)
        for term in range(prony.shape[0]):
            branches += volume * weight * prony[term] * energy
            for row in range(6):
                # Off-diagonal terms count twice in S : E; E = (C - I) / 2.
                green = 0.5 * (cauchy_green[row] - 1.0) if row < 3 else cauchy_green[row]
                instant = weight * stress[row]
                overstress = memory[block, term, row * lanes + lane] + gain[term] * instant
                branches -= volume * (prony[term] * instant - overstress) * green
        for i in range(3):
            for mode in range(3, 7):
                hourglass += 0.5 * material[block, 6 * lanes + lane] * modes[i, mode] ** 2
    return strain, branches, hourglass
