"""Trilinear voxel elements that know where tissue boundaries cross them.

A voxel of one tissue has the standard stiffness of the trilinear cube. In a voxel with several tissues, currents along
the boundary see the arithmetic mean of the conductivity and currents across it the harmonic mean:

    K = sum_t S_t S_t^T / <sigma> + sigma_h (G_n G_n^T + s H),  S_t = integral of sigma t.grad N,  sigma_h = 1/<1/sigma>

with tangents t, normal n, G_n the integral of n.grad N, both means and S_t from the sub-voxels, and H the stiffness of
the shapes whose mean gradient is zero. S_t makes the nodal currents of any constant field along the boundary those of
the sub-voxels. The trilinear cube cannot bend where the field jumps, and its full stiffness there lets far too much
current through the skull; a small s avoids that. The field has its own normal component in each tissue.
"""

from __future__ import annotations

import numba
import numpy as np

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
"""(8, 3) corners of a voxel in the order of the element's nodes."""

GRADIENT = np.stack([np.where(CORNERS[:, axis] == 1, 0.25, -0.25) for axis in range(3)], axis=1)
"""(8, 3) gradient of the shape functions at the voxel's centre, for an edge of 1."""

AIR = 0
_TISSUES = 16
_LARGEST_AIR = 0.9

STABILISATION = 0.3
"""s above (choice: with 1, 0.3, 0.1 electrodes on a layered sphere of 4 mm voxels give a potential in the brain that is
4.7, 2.9 and 2.3 % too large; smaller values cost iterations)."""


def _unit_stiffness() -> np.ndarray:
    """(8, 8) integral of the products of shape gradients over the unit cube (two Gauss points an axis: exact)."""
    stiffness = np.zeros((8, 8))
    abscissae = 0.5 + np.array([-1, 1]) / (2 * np.sqrt(3))
    for point in np.array(np.meshgrid(abscissae, abscissae, abscissae)).reshape(3, -1).T:
        value = np.where(CORNERS == 1, point, 1 - point)
        slope = np.where(CORNERS == 1, 1.0, -1.0)
        gradient = np.stack([slope[:, a] * value[:, (a + 1) % 3] * value[:, (a + 2) % 3] for a in range(3)], axis=1)
        stiffness += gradient @ gradient.T / 8
    return stiffness


UNIT_STIFFNESS = _unit_stiffness()


@numba.njit(cache=True)
def _sub_voxel_gradients(factor):
    """(factor^3, 8, 3) shape gradients at the centres of the sub-voxels of a unit cube."""
    gradients = np.empty((factor**3, 8, 3))
    value = np.empty(3)
    slope = np.empty(3)
    q = 0
    for x in range(factor):
        for y in range(factor):
            for z in range(factor):
                for corner in range(8):
                    for axis in range(3):
                        place = ((x, y, z)[axis] + 0.5) / factor
                        upper = (corner >> (2 - axis)) & 1
                        value[axis] = place if upper == 1 else 1 - place
                        slope[axis] = 1.0 if upper == 1 else -1.0
                    gradients[q, corner, 0] = slope[0] * value[1] * value[2]
                    gradients[q, corner, 1] = value[0] * slope[1] * value[2]
                    gradients[q, corner, 2] = value[0] * value[1] * slope[2]
                q += 1
    return gradients


@numba.njit(cache=True)
def classify_voxels(fine, factor):
    """What tissue a voxel holds, and whether it holds more than one.

    Parameters
    ----------
    fine : (nx s, ny s, nz s) uint8, tissue of the sub-voxels; `AIR` is no conductor.
    factor : s, sub-voxels along a voxel's edge.

    Returns
    -------
    label : (nx, ny, nz) uint8, the tissue with most of the voxel; `AIR` where nine tenths are air.
    mixed : (nx, ny, nz) bool.
    """
    shape = (fine.shape[0] // factor, fine.shape[1] // factor, fine.shape[2] // factor)
    label = np.zeros(shape, np.uint8)
    mixed = np.zeros(shape, np.bool_)
    count = np.zeros(_TISSUES, np.int64)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                first = fine[i * factor, j * factor, k * factor]
                same = True
                count[:] = 0
                for x in range(i * factor, (i + 1) * factor):
                    for y in range(j * factor, (j + 1) * factor):
                        for z in range(k * factor, (k + 1) * factor):
                            tissue = fine[x, y, z]
                            count[tissue] += 1
                            same &= tissue == first
                if same:
                    label[i, j, k] = first
                elif count[AIR] < _LARGEST_AIR * factor**3:
                    count[AIR] = 0
                    label[i, j, k] = np.argmax(count)
                    mixed[i, j, k] = True
    return label, mixed


@numba.njit(cache=True)
def boundary_normals(fine, factor, voxels):
    """Normals (m, 3) of the tissue boundaries in mixed voxels (m, 3), sign arbitrary.

    Each tissue's first moment in a ball of one voxel's edge about the voxel's centre lies along the normal of its
    boundary (exactly, for a plane); the normal is the principal direction of all tissues' moments. That also holds
    where a thin layer has its own boundary on either side.
    """
    normals = np.zeros((len(voxels), 3))
    moment = np.zeros((_TISSUES, 3))
    scatter = np.zeros((3, 3))
    centre = 0.5 * (factor - 1)
    lower, upper = int(np.floor(centre - factor)), int(np.ceil(centre + factor))
    for e in range(len(voxels)):
        i, j, k = voxels[e, 0] * factor, voxels[e, 1] * factor, voxels[e, 2] * factor
        moment[:] = 0.0
        for x in range(max(lower, -i), min(upper + 1, fine.shape[0] - i)):
            for y in range(max(lower, -j), min(upper + 1, fine.shape[1] - j)):
                for z in range(max(lower, -k), min(upper + 1, fine.shape[2] - k)):
                    dx, dy, dz = x - centre, y - centre, z - centre
                    if dx * dx + dy * dy + dz * dz <= factor * factor:
                        tissue = fine[i + x, j + y, k + z]
                        moment[tissue, 0] += dx
                        moment[tissue, 1] += dy
                        moment[tissue, 2] += dz
        scatter[:] = 0.0
        for tissue in range(_TISSUES):
            for a in range(3):
                for b in range(3):
                    scatter[a, b] += moment[tissue, a] * moment[tissue, b]
        vectors = np.linalg.eigh(scatter)[1]
        normals[e] = vectors[:, 2]
    return normals


@numba.njit(cache=True)
def mixed_elements(fine, factor, voxels, normals, label, conductivity):
    """Elements of mixed voxels.

    Parameters
    ----------
    fine, factor : as in `classify_voxels`.
    voxels : (m, 3) int; normals (m, 3); label (m,) the tissue on whose side the field is wanted.
    conductivity : (tissues,) S/m, all above zero (a small one stands for air).

    Returns
    -------
    stiffness : (m, 8, 8) float32, S/m, for an edge of 1.
    load : (m, 8, 3) float32, S/m: nodal load of a primary field that is constant in the voxel.
    contrast : (m,) float32: normal field on the side of the labelled tissue over the voxel's mean, less 1.
    """
    gradients = _sub_voxel_gradients(factor)
    count, points = len(voxels), factor**3
    stiffness = np.zeros((count, 8, 8), np.float32)
    load = np.zeros((count, 8, 3), np.float32)
    contrast = np.zeros(count, np.float32)
    weighted = np.zeros((8, 3))
    across = np.zeros(8)
    for e in range(count):
        i, j, k = voxels[e, 0] * factor, voxels[e, 1] * factor, voxels[e, 2] * factor
        normal = normals[e]
        resistivity = 0.0
        mean = 0.0
        weighted[:] = 0.0
        q = 0
        for x in range(factor):
            for y in range(factor):
                for z in range(factor):
                    sigma = conductivity[fine[i + x, j + y, k + z]]
                    resistivity += 1 / (sigma * points)
                    mean += sigma / points
                    for a in range(8):
                        for axis in range(3):
                            weighted[a, axis] += sigma / points * gradients[q, a, axis]
                    q += 1
        harmonic = 1 / resistivity
        for a in range(8):
            along = 0.0
            across[a] = 0.0
            for axis in range(3):
                along += weighted[a, axis] * normal[axis]
                across[a] += GRADIENT[a, axis] * normal[axis]
            for axis in range(3):
                weighted[a, axis] -= along * normal[axis]
                load[e, a, axis] = weighted[a, axis] + harmonic * across[a] * normal[axis]
        for a in range(8):
            for b in range(8):
                tangential = 0.0
                twist = UNIT_STIFFNESS[a, b]
                for axis in range(3):
                    tangential += weighted[a, axis] * weighted[b, axis] / mean
                    twist -= GRADIENT[a, axis] * GRADIENT[b, axis]
                stiffness[e, a, b] = tangential + harmonic * (across[a] * across[b] + STABILISATION * twist)
        contrast[e] = harmonic / conductivity[label[e]] - 1
    return stiffness, load, contrast


@numba.njit(cache=True)
def assemble_rows(voxels, element, sigma, stiffness, unit, node):
    """Matrix rows on the 27 neighbours of each free node.

    Parameters
    ----------
    voxels : (v, 3) int, conducting voxels; element (v,) number in ``stiffness`` or -1; sigma (v,) S/m.
    stiffness : (m, 8, 8); unit (8, 8).
    node : (nx + 1, ny + 1, nz + 1) int32, number of a free node, negative for others.

    Returns
    -------
    value (n, 27) float64 and column (n, 27) int32, -1 where there is none.
    """
    free = node.max() + 1
    value = np.zeros((free, 27))
    column = np.full((free, 27), -1, np.int32)
    corner = np.zeros(8, np.int64)
    for e in range(len(voxels)):
        i, j, k = voxels[e, 0], voxels[e, 1], voxels[e, 2]
        for c in range(8):
            corner[c] = node[i + (c >> 2), j + ((c >> 1) & 1), k + (c & 1)]
        for a in range(8):
            if corner[a] < 0:
                continue
            for b in range(8):
                if corner[b] < 0:
                    continue
                offset = (
                    ((b >> 2) - (a >> 2) + 1) * 9 + (((b >> 1) & 1) - ((a >> 1) & 1) + 1) * 3 + (b & 1) - (a & 1) + 1
                )
                term = stiffness[element[e], a, b] if element[e] >= 0 else sigma[e] * unit[a, b]
                value[corner[a], offset] += term
                column[corner[a], offset] = corner[b]
    return value, column


@numba.njit(cache=True)
def nodal_loads(voxels, element, sigma, stiffness, load, unit, gradient, primary, potential, has_potential):
    """Nodal loads (nx + 1, ny + 1, nz + 1) of a primary field less those of a given potential, for an edge of 1.

    Parameters
    ----------
    primary : (v, 3) V/m at the voxels' centres.
    potential : (nx + 1, ny + 1, nz + 1), the prescribed potential over the edge, 0 at free nodes; skipped unless
        ``has_potential``.
    """
    total = np.zeros(potential.shape)
    corner = np.zeros(8)
    for e in range(len(voxels)):
        i, j, k = voxels[e, 0], voxels[e, 1], voxels[e, 2]
        m = element[e]
        prescribed = False
        if has_potential:
            for c in range(8):
                corner[c] = potential[i + (c >> 2), j + ((c >> 1) & 1), k + (c & 1)]
                prescribed |= corner[c] != 0.0
        for a in range(8):
            sum_a = 0.0
            for axis in range(3):
                weight = load[m, a, axis] if m >= 0 else sigma[e] * gradient[a, axis]
                sum_a += weight * primary[e, axis]
            if prescribed:
                for b in range(8):
                    sum_a -= (stiffness[m, a, b] if m >= 0 else sigma[e] * unit[a, b]) * corner[b]
            total[i + (a >> 2), j + ((a >> 1) & 1), k + (a & 1)] += sum_a
    return total


@numba.njit(cache=True)
def voxel_fields(voxels, element, normal, contrast, gradient, primary, potential):
    """Field (v, 3) V/m at the voxels' centres, in mixed voxels on the side of the voxel's own tissue.

    Parameters
    ----------
    normal : (m, 3) and contrast (m,) of the mixed voxels; potential over the edge (V/m) at all nodes.
    """
    field = np.empty((len(voxels), 3))
    corner = np.zeros(8)
    for e in range(len(voxels)):
        i, j, k = voxels[e, 0], voxels[e, 1], voxels[e, 2]
        for c in range(8):
            corner[c] = potential[i + (c >> 2), j + ((c >> 1) & 1), k + (c & 1)]
        for axis in range(3):
            value = primary[e, axis]
            for c in range(8):
                value -= gradient[c, axis] * corner[c]
            field[e, axis] = value
        m = element[e]
        if m >= 0:
            across = 0.0
            for axis in range(3):
                across += normal[m, axis] * field[e, axis]
            for axis in range(3):
                field[e, axis] += contrast[m] * across * normal[m, axis]
    return field
