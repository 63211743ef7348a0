"""Electric fields on regular grids, in tetrahedral meshes and uniform ones, behind one way of asking for values.

Every field has ``sample(points_mm) -> (E (N, 3) V/m, inside (N,) bool)`` in head coordinates; E is NaN where the field
is not known, and ``inside`` tells whether the point lies in tissue that the field covers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from understudy.errors import InputError
from understudy.tms.grid_interpolation import LEAST_TISSUE, interpolate_grid


class Field(Protocol):
    """What every field can do."""

    def sample(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E (N, 3) V/m and inside (N,) bool at points (N, 3) mm."""
        ...


@dataclass(frozen=True)
class UniformField:
    """The same vector everywhere.

    Attributes
    ----------
    vector : (3,) V/m.
    """

    vector: np.ndarray

    def sample(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See the module."""
        number = len(points_mm)
        return np.tile(np.asarray(self.vector, dtype=float), (number, 1)), np.ones(number, dtype=bool)


@dataclass(frozen=True)
class GridField:
    """Vectors at the voxels of a grid, trilinear between them.

    Attributes
    ----------
    value : (nx, ny, nz, 3) V/m in head axes, at least 2 voxels along each axis; float32 or float64, which decides the
        precision of what is sampled. NaN is no tissue.
    affine : (4, 4) voxel index to head mm, any invertible one.
    tissue : (nx, ny, nz) bool: only these voxels take part; None for all with finite values.
    """

    value: np.ndarray
    affine: np.ndarray
    tissue: np.ndarray | None = None
    nodes: np.ndarray = field(init=False, repr=False, compare=False)
    to_index: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        value, affine = np.asarray(self.value), np.asarray(self.affine, dtype=float)
        if value.ndim != 4 or value.shape[3] != 3 or min(value.shape[:3]) < 2:
            raise InputError(
                f"field grid: found the shape {value.shape}, accepted is (nx, ny, nz, 3) with 2 voxels or more"
            )
        if affine.shape != (4, 4) or not abs(np.linalg.det(affine[:3, :3])) > 1e-12:
            raise InputError(f"field grid: found the affine {affine.tolist()}, accepted is an invertible (4, 4) matrix")
        finite = np.isfinite(value).all(axis=3)
        tissue = finite if self.tissue is None else finite & np.asarray(self.tissue, dtype=bool)
        if tissue.shape != value.shape[:3]:
            raise InputError(f"field grid: found tissue {tissue.shape}, accepted is {value.shape[:3]}")
        dtype = np.float32 if value.dtype == np.float32 else np.float64
        # Four numbers per voxel: one load in the kernel fetches the vector and the tissue.
        nodes = np.zeros((*value.shape[:3], 4), dtype=dtype)
        nodes[tissue, :3] = value[tissue]
        nodes[..., 3] = tissue
        object.__setattr__(self, "tissue", tissue)
        object.__setattr__(self, "nodes", nodes.ravel())
        object.__setattr__(self, "to_index", np.linalg.inv(affine))

    def sample(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See the module."""
        points = np.asarray(points_mm, dtype=float).reshape(-1, 3)
        sums, inside = np.empty(4 * len(points), dtype=self.nodes.dtype), np.empty(len(points), dtype=bool)
        interpolate_grid(self.nodes, self.tissue.shape, self.to_index, points, sums, inside)
        sums = sums.reshape(-1, 4).astype(float)
        known = sums[:, 3] > LEAST_TISSUE
        return np.where(known[:, None], sums[:, :3] / np.where(known, sums[:, 3], 1.0)[:, None], np.nan), inside

    @property
    def bounds_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest coordinates (3,) of the tissue's voxel centres."""
        index = np.argwhere(self.tissue)
        if len(index) == 0:
            return np.full(3, np.nan), np.full(3, np.nan)
        low, high = index.min(axis=0), index.max(axis=0)
        corners = np.array([[(low, high)[bit >> axis & 1][axis] for axis in range(3)] for bit in range(8)])
        corners = corners @ np.asarray(self.affine)[:3, :3].T + np.asarray(self.affine)[:3, 3]
        return corners.min(axis=0), corners.max(axis=0)


def require_coverage(field: Field, positions_mm: np.ndarray, name: str, least_share: float = 0.5) -> np.ndarray:
    """Which cells lie in the field's tissue, (N,) bool; an error if it is fewer than ``least_share`` of them.

    Cells that are left out are for the caller to count and report.

    Raises
    ------
    InputError
        Naming the file or key ``name``, both bounding boxes and the share of cells found in tissue.
    """
    positions = np.asarray(positions_mm, dtype=float).reshape(-1, 3)
    _, inside = field.sample(positions)
    share = float(inside.mean()) if len(inside) else 0.0
    if share < least_share or not len(inside):
        box = _box(positions.min(axis=0), positions.max(axis=0)) if len(inside) else "none"
        covered = _box(*field.bounds_mm) if hasattr(field, "bounds_mm") else "unknown"
        raise InputError(
            f"{name}: does not cover the cells: found {share:.1%} of {len(inside)} cells in its tissue; cells at "
            f"{box}, tissue at {covered} mm; accepted are at least {least_share:.0%}; are both in the same space?"
        )
    return inside


def _box(low: np.ndarray, high: np.ndarray) -> str:
    return ", ".join(f"{axis} {a:.1f} to {b:.1f}" for axis, a, b in zip("xyz", low, high, strict=True))
