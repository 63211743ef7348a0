"""Quasi-static conduction in voxels: the electric field that a primary field or electrodes drive through tissue.

div(sigma (E_primary - grad phi)) = 0 on a regular grid of voxels with potentials at their corners (a 27-point finite
difference stencil, from the elements of `understudy.tms.voxel_elements`), no current into air. The matrix is symmetric
and positive definite; conjugate gradients with smoothed-aggregation algebraic multigrid solve it, and the hierarchy is
built once for all right-hand sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyamg
import scipy.sparse
from scipy import ndimage

from understudy.errors import InputError
from understudy.tms import voxel_elements as elements

AIR_CONDUCTIVITY_S_PER_M = 1e-3
"""Air in voxels that tissue shares (choice: 1/10 of the skull's; zero would make their matrices singular)."""

_BLOCK = 8
_CHEBYSHEV = 4
# Blocks nearer to a source than this many edges are evaluated at every voxel (4 Chebyshev nodes an axis then err by
# less than 1e-3 of the nearest source's part).
_NEAR_EDGES = 2.2


@dataclass(frozen=True)
class Solution:
    """What one right-hand side gives.

    Attributes
    ----------
    potential : (nx + 1, ny + 1, nz + 1) float32, V at the voxels' corners; in air that of the nearest tissue.
    field : (v, 3) float32, V/m at the centres of the conducting voxels, on the side of each voxel's own tissue.
    iterations : of the conjugate gradients.
    """

    potential: np.ndarray
    field: np.ndarray
    iterations: int


class ConductionSolver:
    """A grid of voxels, its matrix and its multigrid hierarchy.

    Parameters
    ----------
    fine : (nx s, ny s, nz s) uint8, tissue of the sub-voxels; 0 is air.
    factor : s, sub-voxels along a voxel's edge.
    conductivity : (tissues,) S/m; that of air is not used.
    affine : (4, 4), index of a voxel to mm; voxels are cubes along the axes.
    prescribed : (nx + 1, ny + 1, nz + 1) bool, corners whose potential is given with each right-hand side.

    Attributes
    ----------
    label : (nx, ny, nz) uint8, tissue with most of the voxel.
    voxels : (v, 3) int32, the conducting voxels, in the order of `Solution.field`.

    Raises
    ------
    InputError
        If nothing conducts or a conductivity is not above zero.
    """

    def __init__(
        self,
        fine: np.ndarray,
        factor: int,
        conductivity: np.ndarray,
        affine: np.ndarray,
        prescribed: np.ndarray | None = None,
    ) -> None:
        sigma = np.array(conductivity, dtype=np.float64)
        sigma[elements.AIR] = AIR_CONDUCTIVITY_S_PER_M
        if not (sigma > 0).all() or not np.isfinite(sigma).all():
            raise InputError(f"conductivity: found {sigma[1:].tolist()} S/m, accepted is above 0")
        self.affine = np.asarray(affine, dtype=float)
        self.spacing_mm = float(self.affine[0, 0])
        self.label, mixed = elements.classify_voxels(fine, factor)
        self._keep_largest()
        mixed &= self.label > 0
        self.voxels = np.argwhere(self.label > 0).astype(np.int32)
        if len(self.voxels) == 0:
            raise InputError("labels: found air only, accepted is at least one voxel of tissue")
        own = self.label[self.label > 0]
        is_mixed = mixed[self.label > 0]
        self._sigma = sigma[own]
        self._element = np.where(is_mixed, np.cumsum(is_mixed) - 1, -1).astype(np.int32)
        voxels = self.voxels[is_mixed]
        self._normal = elements.boundary_normals(fine, factor, voxels)
        self._stiffness, self._load, self._contrast = elements.mixed_elements(
            fine, factor, voxels, self._normal, own[is_mixed], sigma
        )
        self._number_nodes(prescribed)
        self._build_hierarchy()

    def _keep_largest(self) -> None:
        """Voxels that share no face with the largest piece of tissue become air."""
        pieces, count = ndimage.label(self.label > 0)
        if count > 1:
            self.label[pieces != 1 + np.argmax(np.bincount(pieces.ravel())[1:])] = 0

    def _number_nodes(self, prescribed: np.ndarray | None) -> None:
        shape = tuple(extent + 1 for extent in self.label.shape)
        touched = np.zeros(shape, dtype=bool)
        conducting = self.label > 0
        for x, y, z in elements.CORNERS:
            touched[x : x + shape[0] - 1, y : y + shape[1] - 1, z : z + shape[2] - 1] |= conducting
        self._touched = touched
        self._prescribed = np.zeros(shape, dtype=bool) if prescribed is None else prescribed & touched
        free = touched & ~self._prescribed
        self._node = np.full(shape, -1, dtype=np.int32)
        self._node[free] = np.arange(np.count_nonzero(free), dtype=np.int32)
        self._free = free
        # Corners in air take the potential of the nearest tissue, so that any point can be interpolated.
        nearest = ndimage.distance_transform_edt(~touched, return_distances=False, return_indices=True)
        flat = np.ravel_multi_index(tuple(nearest[axis][~touched] for axis in range(3)), shape)
        self._air_source = flat.astype(np.int64)

    def _build_hierarchy(self) -> None:
        value, column = elements.assemble_rows(
            self.voxels, self._element, self._sigma, self._stiffness, elements.UNIT_STIFFNESS, self._node
        )
        there = (column >= 0) & (value != 0.0)
        if not self._prescribed.any():
            # One corner is tied to zero volts through a conductance of its own size: no net current flows there.
            ground = int(np.argmax(value[:, 13]))
            value[ground, 13] *= 2.0
        rows = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int32)
        matrix = scipy.sparse.csr_matrix((value[there], column[there], rows), shape=(len(value), len(value)))
        del value, column, there
        self._matrix = matrix
        # The set-up starts its power iterations from numpy's global stream: equal heads must give equal bits.
        stream = np.random.get_state()  # noqa: NPY002
        np.random.seed(0)  # noqa: NPY002
        self._hierarchy = pyamg.smoothed_aggregation_solver(matrix, symmetry="symmetric", max_coarse=300)
        np.random.set_state(stream)  # noqa: NPY002
        self._preconditioner = self._hierarchy.aspreconditioner(cycle="V")

    @property
    def unknowns(self) -> int:
        return self._matrix.shape[0]

    @property
    def node_affine(self) -> np.ndarray:
        """(4, 4), index of a corner to mm."""
        affine = self.affine.copy()
        affine[:3, 3] -= 0.5 * self.spacing_mm
        return affine

    def centres_mm(self) -> np.ndarray:
        """(v, 3) centres of the conducting voxels."""
        return self.voxels * self.spacing_mm + self.affine[:3, 3]

    def solve(
        self,
        primary: np.ndarray | None = None,
        *,
        potential: np.ndarray | None = None,
        current: np.ndarray | None = None,
        tolerance: float = 1e-6,
    ) -> Solution:
        """Potential and field of one right-hand side.

        Parameters
        ----------
        primary : (v, 3) V/m, the primary field (-dA/dt of a coil) at `centres_mm`.
        potential : (nx + 1, ny + 1, nz + 1) V; read at the prescribed corners.
        current : (nx + 1, ny + 1, nz + 1) A, injected at the corners; its sum must be zero unless potentials are
            prescribed.
        tolerance : of the residual over the right-hand side.

        Raises
        ------
        InputError
            For a primary field of another shape or with NaN, or currents that do not sum to zero.
        """
        edge_m = 1e-3 * self.spacing_mm
        primary = np.zeros((len(self.voxels), 3)) if primary is None else np.asarray(primary, dtype=np.float64)
        if primary.shape != (len(self.voxels), 3) or not np.isfinite(primary).all():
            raise InputError(
                f"primary field: found shape {primary.shape} with {np.sum(~np.isfinite(primary))} values that are not "
                f"finite, accepted is ({len(self.voxels)}, 3), all finite"
            )
        scaled = np.zeros(self._node.shape)
        if self._prescribed.any():
            if potential is None:
                raise InputError("potential: found none, accepted is the potential of the prescribed corners")
            scaled[self._prescribed] = potential[self._prescribed] / edge_m
        load = elements.nodal_loads(
            self.voxels,
            self._element,
            self._sigma,
            self._stiffness,
            self._load,
            elements.UNIT_STIFFNESS,
            elements.GRADIENT,
            primary,
            scaled,
            bool(self._prescribed.any()),
        )
        if current is not None:
            if not self._prescribed.any() and abs(current.sum()) > 1e-9 * np.abs(current).sum():
                raise InputError(f"current: found the sum {current.sum():.3g} A, accepted is 0")
            load += current / edge_m**2
        scaled[self._free], iterations = self._solve_linear(load[self._free], tolerance)
        field = elements.voxel_fields(
            self.voxels, self._element, self._normal, self._contrast, elements.GRADIENT, primary, scaled
        )
        scaled[~self._touched] = scaled.ravel()[self._air_source]
        return Solution((scaled * edge_m).astype(np.float32), field.astype(np.float32), iterations)

    def _solve_linear(self, right: np.ndarray, tolerance: float) -> tuple[np.ndarray, int]:
        if not right.any():
            return np.zeros_like(right), 0
        count = 0

        def step(_: np.ndarray) -> None:
            nonlocal count
            count += 1

        answer, status = scipy.sparse.linalg.cg(
            self._matrix, right, rtol=tolerance, maxiter=200, M=self._preconditioner, callback=step
        )
        if status != 0:
            raise RuntimeError(f"conduction: no convergence to {tolerance:g} in {count} iterations")
        return answer, count


def interpolate_potential(solver: ConductionSolver, solution: Solution, points_mm: np.ndarray) -> np.ndarray:
    """Potential (N,) V at points (N, 3) mm, trilinear between corners; outside the grid the nearest value."""
    affine = solver.node_affine
    index = (np.asarray(points_mm, dtype=float) - affine[:3, 3]) / solver.spacing_mm
    return ndimage.map_coordinates(solution.potential, index.T, order=1, mode="nearest")


def primary_at_voxels(
    solver: ConductionSolver, primary: Callable[[np.ndarray], np.ndarray], sources_mm: np.ndarray
) -> np.ndarray:
    """Primary field (v, 3) at the centres of a solver's voxels, evaluated at few points where it is smooth.

    Parameters
    ----------
    primary : gives V/m (N, 3) at points (N, 3) mm.
    sources_mm : (P, 3) mm, where the field's sources (the coil's dipoles) are. Blocks of 8 x 8 x 8 voxels away from
        them are interpolated from 4 x 4 x 4 Chebyshev nodes; near ones are evaluated voxel by voxel.
    """
    edge_mm = _BLOCK * solver.spacing_mm
    block_of = solver.voxels // _BLOCK
    shape = tuple(int(extent) + 1 for extent in block_of.max(axis=0))
    flat = np.ravel_multi_index(tuple(block_of.T), shape)
    blocks, member = np.unique(flat, return_inverse=True)
    corner = np.stack(np.unravel_index(blocks, shape), axis=1) * edge_mm + solver.node_affine[:3, 3]
    gap = np.array([np.sqrt(((sources_mm - centre) ** 2).sum(axis=1).min()) for centre in corner + 0.5 * edge_mm])
    near = gap < _NEAR_EDGES * edge_mm
    at = 0.5 * (1 + np.cos(np.pi * (2 * np.arange(_CHEBYSHEV) + 1) / (2 * _CHEBYSHEV)))
    inside = (np.arange(_BLOCK) + 0.5) / _BLOCK
    weight = np.stack(
        [
            np.prod([(inside - at[m]) / (at[n] - at[m]) for m in range(_CHEBYSHEV) if m != n], axis=0)
            for n in range(_CHEBYSHEV)
        ],
        axis=1,
    )
    nodes = np.stack(np.meshgrid(at, at, at, indexing="ij"), axis=-1) * edge_mm
    far_corner = corner[~near]
    near_voxel = near[member]
    points = np.concatenate(
        [
            (far_corner[:, None, None, None] + nodes).reshape(-1, 3),
            solver.voxels[near_voxel] * solver.spacing_mm + solver.affine[:3, 3],
        ]
    )
    values = np.asarray(primary(points), dtype=np.float64)
    coarse = values[: len(far_corner) * _CHEBYSHEV**3].reshape(-1, _CHEBYSHEV, _CHEBYSHEV, _CHEBYSHEV, 3)
    for _ in range(3):
        # Each turn interpolates the first axis of the nodes and puts it last: three turns restore the order.
        coarse = np.moveaxis(np.tensordot(coarse, weight, axes=(1, 1)), 3, 4)
    field = np.empty((len(solver.voxels), 3))
    field[near_voxel] = values[len(far_corner) * _CHEBYSHEV**3 :]
    local = solver.voxels[~near_voxel] % _BLOCK
    number = np.cumsum(~near) - 1
    field[~near_voxel] = coarse[number[member[~near_voxel]], local[:, 0], local[:, 1], local[:, 2]]
    return field


def injected_current(solver: ConductionSolver, points_mm: np.ndarray, current_A: np.ndarray) -> np.ndarray:
    """Nodal currents (nx + 1, ny + 1, nz + 1) A of point electrodes (N, 3) mm, each in the nearest conducting voxel."""
    affine = solver.node_affine
    place = (np.asarray(points_mm, dtype=float) - affine[:3, 3]) / solver.spacing_mm
    cell = np.clip(np.floor(place).astype(int), 0, np.array(solver.label.shape) - 1)
    nearest = ndimage.distance_transform_edt(solver.label == 0, return_distances=False, return_indices=True)
    cell = np.stack([nearest[axis][tuple(cell.T)] for axis in range(3)], axis=1)
    part = np.clip(place - cell, 0.0, 1.0)
    nodal = np.zeros(solver._node.shape)
    for corner in elements.CORNERS:
        weight = np.prod(np.where(corner == 1, part, 1 - part), axis=1)
        np.add.at(nodal, tuple((cell + corner).T), weight * current_A)
    return nodal
