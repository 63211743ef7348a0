"""White-matter voxels of the MNI152 template: the places whose fibres are followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.anatomy import load_template
from understudy.axon.brain_mesh import cell_means
from understudy.errors import InputError

_TEMPLATE_VOXEL_MM = 1.0


@dataclass(frozen=True)
class WhiteMatter:
    """White-matter voxels of a regular grid in MNI152 space.

    Attributes
    ----------
    index : (v, 3) int, grid index of each voxel, z fastest.
    centre_mm : (v, 3) voxel centres in MNI152 RAS mm.
    probability : (v,) mean white-matter probability of the voxel, 0-1.
    affine : (4, 4) grid index to MNI152 RAS mm.
    shape : voxels of the grid along x, y, z.
    voxel_mm : edge of a voxel.
    """

    index: np.ndarray
    centre_mm: np.ndarray
    probability: np.ndarray
    affine: np.ndarray
    shape: tuple[int, int, int]
    voxel_mm: float


def white_matter_voxels(voxel_mm: float, threshold: float) -> WhiteMatter:
    """Voxels of edge ``voxel_mm`` whose mean white-matter probability exceeds ``threshold``.

    The grid starts at the template's lower corner, so that at a whole number of mm every template voxel lies in one
    grid voxel. At 2 mm and 0.38 this gives 92,439 voxels (published: 92,500, Zhang et al. 2025).

    Raises
    ------
    InputError
        If no voxel exceeds the threshold.
    """
    template, template_affine = load_template("wm")
    mean = cell_means(template, voxel_mm / _TEMPLATE_VOXEL_MM)
    index = np.argwhere(mean > threshold)
    if len(index) == 0:
        raise InputError(
            f"fibres.white_matter_threshold: found {threshold:g}, accepted is less than {mean.max():.3f}, the largest "
            f"mean probability of a {voxel_mm:g} mm voxel"
        )
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = template_affine[:3, 3] + 0.5 * (voxel_mm - _TEMPLATE_VOXEL_MM)
    return WhiteMatter(
        index=index,
        centre_mm=index * voxel_mm + affine[:3, 3],
        probability=mean[tuple(index.T)],
        affine=affine,
        shape=(int(mean.shape[0]), int(mean.shape[1]), int(mean.shape[2])),
        voxel_mm=float(voxel_mm),
    )


def voxel_numbers(white_matter: WhiteMatter) -> np.ndarray:
    """Grid of ``white_matter.shape`` (int64) with the voxel's row in the table, -1 outside the white matter."""
    numbers = np.full(white_matter.shape, -1, dtype=np.int64)
    numbers[tuple(white_matter.index.T)] = np.arange(len(white_matter.index))
    return numbers


def grid_coordinates(points_mm: np.ndarray, white_matter: WhiteMatter) -> np.ndarray:
    """Points (..., 3) in MNI152 mm as grid coordinates in voxels; voxel ``i`` spans ``i`` to ``i + 1``."""
    corner_mm = white_matter.affine[:3, 3] - 0.5 * white_matter.voxel_mm
    return (np.asarray(points_mm, dtype=float) - corner_mm) / white_matter.voxel_mm


def voxels_at(points_mm: np.ndarray, white_matter: WhiteMatter) -> np.ndarray:
    """Row (p,) of the voxel that holds each point (p, 3) in MNI152 mm, -1 outside the white matter."""
    cell = np.floor(grid_coordinates(points_mm, white_matter)).astype(np.int64)
    inside = ((cell >= 0) & (cell < white_matter.shape)).all(axis=1)
    rows = np.full(len(cell), -1, dtype=np.int64)
    rows[inside] = voxel_numbers(white_matter)[tuple(cell[inside].T)]
    return rows


def voxel_neighbours(white_matter: WhiteMatter) -> np.ndarray:
    """Pairs (p, 2) of voxels that share a face, each pair once."""
    numbers = voxel_numbers(white_matter)
    pairs = []
    for axis in range(3):
        first = np.moveaxis(numbers, axis, 0)[:-1].ravel()
        second = np.moveaxis(numbers, axis, 0)[1:].ravel()
        both = (first >= 0) & (second >= 0)
        pairs.append(np.stack([first[both], second[both]], axis=1))
    return np.concatenate(pairs)
