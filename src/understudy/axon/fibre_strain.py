"""Fibre strain from the displacement of two points along the fibre (a strain gauge per white-matter voxel).

The engineering strain of the gauge is |x2 - x1| / |X2 - X1| - 1, with both end points carried by the trilinear
displacement of their elements: the displacement interpolation that agrees with tractography-based strain (published:
R2 1.00 against 0.87 for the projected strain tensor, PMC8665149).
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from scipy import ndimage

from understudy.axon.brain_mesh import HEX_CORNERS, BrainMesh, mni_to_head

# Length of a gauge in template space: the published voxel, and short of an element, so that a voxel sees its own place.
GAUGE_MM = 2.0

# A gauge whose centre lies outside the mesh moves into the nearest element, this far from its faces (of its edge).
_MARGIN = 0.1


@dataclass(frozen=True)
class FibreGauges:
    """Strain gauges along the fibres of white-matter voxels.

    Attributes
    ----------
    nodes : (v, 16) int32, nodes of the elements of the first and the second end point.
    weights : (v, 16) trilinear weights, negative for the first end: ``weights @ positions`` is the gauge's vector.
    count : (v,) int32, 8 where both ends lie in one element (the first eight entries then hold both), else 16.
    length_m : (v,) reference length.
    element : (v,) int32, element of the centre.
    shortened : gauges with an end outside the mesh, cut at the face of the centre's element.
    moved : gauges whose centre lies outside the mesh, moved into the nearest element.
    """

    nodes: np.ndarray
    weights: np.ndarray
    count: np.ndarray
    length_m: np.ndarray
    element: np.ndarray
    shortened: int
    moved: int

    @property
    def independent_elements(self) -> int:
        """Different elements that hold a centre: the voxels have at most as many independent strains."""
        return len(np.unique(self.element))


def _element_at(cell: np.ndarray, mesh: BrainMesh) -> np.ndarray:
    """Element (p,) of grid cells (p, 3), -1 where there is none."""
    inside = ((cell >= 0) & (cell < mesh.grid_shape)).all(axis=1)
    element = np.full(len(cell), -1, dtype=np.int32)
    element[inside] = mesh.cell_element[tuple(cell[inside].T)]
    return element


def _trilinear(local: np.ndarray) -> np.ndarray:
    """Weights (p, 8) of an element's nodes at local coordinates (p, 3) in 0-1."""
    at = np.where(HEX_CORNERS[None] == 1, local[:, None, :], 1.0 - local[:, None, :])
    return at.prod(axis=2)


def fibre_gauges(
    mesh: BrainMesh, centre_mm: np.ndarray, direction: np.ndarray, gauge_mm: float = GAUGE_MM
) -> FibreGauges:
    """Gauges of ``gauge_mm`` (in template space) along ``direction``, centred at ``centre_mm``.

    Parameters
    ----------
    mesh : brain mesh.
    centre_mm : (v, 3) MNI152 mm.
    direction : (v, 3) unit vectors.
    gauge_mm : length of a gauge in MNI152 mm; scaled to the head with everything else.
    """
    cells = (mni_to_head(centre_mm, mesh) - mesh.grid_origin_m) / mesh.element_m
    element = _element_at(np.floor(cells).astype(np.int64), mesh)
    outside = element < 0
    if outside.any():
        nearest = ndimage.distance_transform_edt(mesh.cell_element < 0, return_distances=False, return_indices=True)
        within = np.clip(np.floor(cells[outside]).astype(np.int64), 0, np.array(mesh.grid_shape) - 1)
        cell = nearest[:, within[:, 0], within[:, 1], within[:, 2]].T
        cells[outside] = np.clip(cells[outside], cell + _MARGIN, cell + 1 - _MARGIN)
        element[outside] = mesh.cell_element[tuple(cell.T)]
    home = np.floor(cells)
    half = 0.5 * gauge_mm * 1e-3 * mesh.scale / mesh.element_m
    ends, shortened = [], np.zeros(len(cells), dtype=bool)
    for sign in (-1.0, 1.0):
        step = sign * half * np.asarray(direction, dtype=float)
        end = cells + step
        out = _element_at(np.floor(end).astype(np.int64), mesh) < 0
        # Part of the step that stays in the centre's own cell: the first face it meets.
        ahead = np.where(step > 0, home + 1 - cells, cells - home)
        with np.errstate(divide="ignore", invalid="ignore"):
            part = np.where(step != 0, ahead / np.abs(step), np.inf).min(axis=1)
        end[out] = cells[out] + np.minimum(part[out], 1.0)[:, None] * step[out]
        shortened |= out
        ends.append((end, out))
    nodes = np.empty((len(cells), 16), dtype=np.int32)
    weights = np.empty((len(cells), 16))
    holders = []
    for side, (end, out) in enumerate(ends):
        # A cut end lies on a face of the centre's cell and is read from that cell.
        corner = np.where(out[:, None], home, np.floor(end))
        holder = _element_at(corner.astype(np.int64), mesh)
        nodes[:, 8 * side : 8 * side + 8] = mesh.elements[holder]
        weights[:, 8 * side : 8 * side + 8] = (2 * side - 1) * _trilinear(end - corner)
        holders.append(holder)
    same = holders[0] == holders[1]
    weights[same, :8] += weights[same, 8:]
    weights[same, 8:] = 0.0
    length_m = np.linalg.norm(ends[1][0] - ends[0][0], axis=1) * mesh.element_m
    return FibreGauges(
        nodes=nodes,
        weights=weights,
        count=np.where(same, 8, 16).astype(np.int32),
        length_m=length_m,
        element=element,
        shortened=int(shortened.sum()),
        moved=int(outside.sum()),
    )


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _strain(nodes, weights, count, length_m, positions, strain):
    for v in range(len(length_m)):
        x = y = z = 0.0
        for k in range(count[v]):
            node, weight = nodes[v, k], weights[v, k]
            x += weight * positions[node, 0]
            y += weight * positions[node, 1]
            z += weight * positions[node, 2]
        strain[v] = np.sqrt(x * x + y * y + z * z) / length_m[v] - 1.0


def fibre_strain(gauges: FibreGauges, positions: np.ndarray) -> np.ndarray:
    """Engineering strain (v,) of the gauges at node positions (n, 3) in m, in any rigidly moved frame."""
    strain = np.empty(len(gauges.length_m))
    _strain(gauges.nodes, gauges.weights, gauges.count, gauges.length_m, positions, strain)
    return strain
