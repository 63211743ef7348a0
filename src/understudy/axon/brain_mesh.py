"""Hexahedral voxel mesh of the MNI152 brain, scaled to a living head.

The brain is the set of template voxels whose white-plus-grey-matter probability exceeds one half, closed and filled so
that sulci and ventricles belong to it. Grid cells that are brain by more than half of their volume become cubes; only
the largest face-connected component is kept. The outer surface is the skull: its nodes move rigidly. Cells of the
outermost layer whose mean white-plus-grey-matter probability is below one half form the soft CSF layer between skull
and brain. It is patchy, because the template's subarachnoid space is thinner than an element almost everywhere (394 of
7,508 outermost cells at 4 mm). Ventricles are meshed as brain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from understudy.anatomy import load_template
from understudy.axon.config import Head
from understudy.errors import InputError

BRAIN = 0
CSF = 1

# Radius of the closing in 1 mm voxels: bridges sulci (the brain mask holds 1,817 mL), keeps the outline.
_CLOSING_MM = 4

# Corners of a cell in the node order of the standard hexahedron: bottom face counter-clockwise, then the top face.
HEX_CORNERS = np.array(
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=np.int64
)


@dataclass(frozen=True)
class BrainMesh:
    """Axis-aligned cubes of one size in head coordinates (x right, y anterior, z superior; origin: centre of rotation).

    Attributes
    ----------
    nodes : (n, 3) float64, m.
    elements : (e, 8) int32, node numbers in the order of `HEX_CORNERS`.
    tissue : (e,) int8, `BRAIN` or `CSF`.
    skull : (n,) bool, nodes with fewer than eight elements: prescribed by the skull's motion.
    element_m : edge of a cube after scaling, m.
    grid_shape : cells of the voxel grid along x, y, z.
    grid_origin_m : (3,) corner of cell (0, 0, 0) in head coordinates, m.
    cell_element : (nx, ny, nz) int32, element of a grid cell or -1.
    centre_mm : (3,) MNI152 point at the origin of the head coordinates, mm.
    scale : linear scale from the template to the head.
    """

    nodes: np.ndarray
    elements: np.ndarray
    tissue: np.ndarray
    skull: np.ndarray
    element_m: float
    grid_shape: tuple[int, int, int]
    grid_origin_m: np.ndarray
    cell_element: np.ndarray
    centre_mm: np.ndarray
    scale: float


def mni_to_head(points_mm: np.ndarray, mesh: BrainMesh) -> np.ndarray:
    """Head coordinates (..., 3) in m of MNI152 points (..., 3) in mm."""
    return mesh.scale * (np.asarray(points_mm, dtype=float) - mesh.centre_mm) * 1e-3


def head_to_mni(points_m: np.ndarray, mesh: BrainMesh) -> np.ndarray:
    """MNI152 points (..., 3) in mm of head coordinates (..., 3) in m."""
    return np.asarray(points_m, dtype=float) * 1e3 / mesh.scale + mesh.centre_mm


def brain_mask(tissue_probability: np.ndarray) -> np.ndarray:
    """Closed and filled brain (bool) of the white-plus-grey-matter probability at 1 mm (same shape)."""
    pad = 2 * _CLOSING_MM
    closed = ndimage.binary_closing(np.pad(tissue_probability > 0.5, pad), iterations=_CLOSING_MM)
    return ndimage.binary_fill_holes(closed)[pad:-pad, pad:-pad, pad:-pad]


def cell_means(volume: np.ndarray, edge: float) -> np.ndarray:
    """Mean of a voxel volume over cubic cells of ``edge`` voxels, which need not be a whole number.

    Only cells that lie wholly inside the volume are returned.
    """
    mean = np.asarray(volume, dtype=np.float64)
    for axis in range(3):
        mean = np.moveaxis(mean, axis, 0)
        integral = np.concatenate([np.zeros((1, *mean.shape[1:])), np.cumsum(mean, axis=0)])
        edges = np.arange(int(mean.shape[0] / edge + 1e-9) + 1) * edge
        lower = np.minimum(edges.astype(int), mean.shape[0] - 1)
        part = (edges - lower).reshape(-1, 1, 1)
        at_edges = (1 - part) * integral[lower] + part * integral[lower + 1]
        mean = np.moveaxis(np.diff(at_edges, axis=0) / edge, 0, axis)
    return mean


def largest_component(cells: np.ndarray) -> np.ndarray:
    """The largest face-connected component of a boolean grid."""
    labels, count = ndimage.label(cells)
    if count <= 1:
        return cells
    return labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])


def voxel_mesh(
    cells: np.ndarray,
    csf_cells: np.ndarray,
    element_m: float,
    grid_origin_m: np.ndarray,
    centre_mm: np.ndarray,
    scale: float,
) -> BrainMesh:
    """Mesh of the occupied cells of a grid.

    Parameters
    ----------
    cells : (nx, ny, nz) bool, occupied cells.
    csf_cells : (nx, ny, nz) bool, cells that are CSF where they lie in the outermost layer (touch a skull node).
    element_m, grid_origin_m, centre_mm, scale : as in `BrainMesh`.

    Notes
    -----
    Elements and nodes are numbered along the grid, z fastest, so that neighbours in space are neighbours in memory.
    """
    index = np.argwhere(cells)
    node_shape = np.array(cells.shape) + 1
    corners = index[:, None, :] + HEX_CORNERS[None, :, :]
    flat = np.ravel_multi_index((corners[..., 0], corners[..., 1], corners[..., 2]), node_shape)
    used, elements = np.unique(flat, return_inverse=True)
    elements = elements.reshape(flat.shape).astype(np.int32)
    positions = np.stack(np.unravel_index(used, node_shape), axis=1) * element_m + grid_origin_m
    skull = np.bincount(elements.ravel(), minlength=len(used)) < 8
    outermost = skull[elements].any(axis=1)
    tissue = np.where(outermost & csf_cells[cells], CSF, BRAIN).astype(np.int8)
    cell_element = np.full(cells.shape, -1, dtype=np.int32)
    cell_element[cells] = np.arange(len(index), dtype=np.int32)
    return BrainMesh(
        nodes=positions,
        elements=elements,
        tissue=tissue,
        skull=skull,
        element_m=float(element_m),
        grid_shape=(int(cells.shape[0]), int(cells.shape[1]), int(cells.shape[2])),
        grid_origin_m=np.asarray(grid_origin_m, dtype=float),
        cell_element=cell_element,
        centre_mm=np.asarray(centre_mm, dtype=float),
        scale=float(scale),
    )


def block_mesh(shape: tuple[int, int, int], element_m: float) -> BrainMesh:
    """A rectangular block of ``shape`` brain cubes centred on the origin (for verification)."""
    origin = -0.5 * element_m * np.asarray(shape, dtype=float)
    full = np.ones(shape, dtype=bool)
    return voxel_mesh(full, ~full, element_m, origin, np.zeros(3), 1.0)


@cache
def _template_brain() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probability of white or grey matter and mask of the brain, both at 1 mm, and their affine; made once."""
    white, affine = load_template("wm")
    tissue_probability = white + load_template("gm")[0]
    return tissue_probability, brain_mask(tissue_probability), affine


def build_brain_mesh(head: Head) -> BrainMesh:
    """The brain of the MNI152 template as cubes of ``head.element_mm`` in template space, scaled by ``head.scale``.

    The head rotates about the centroid of the brain mask, which does not depend on the size of the elements.

    Raises
    ------
    InputError
        If the elements are so large that no node lies inside the skull.
    """
    tissue_probability, mask, affine = _template_brain()
    centre_mm = affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]
    # The template has unit voxels along RAS axes, so voxel edges lie half a voxel before the voxel centres.
    corner_mm = affine[:3, 3] - 0.5
    cells = largest_component(cell_means(mask, head.element_mm) > 0.5)
    csf_cells = cell_means(tissue_probability, head.element_mm) < 0.5
    mesh = voxel_mesh(
        cells,
        csf_cells,
        element_m=head.scale * head.element_mm * 1e-3,
        grid_origin_m=head.scale * (corner_mm - centre_mm) * 1e-3,
        centre_mm=centre_mm,
        scale=head.scale,
    )
    if mesh.skull.all():
        raise InputError(f"head.element_mm: found {head.element_mm}, which leaves no node inside the skull")
    return mesh
