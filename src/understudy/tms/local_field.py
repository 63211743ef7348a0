"""The field near the cells: a fine box inside the whole head, with the cortex from its surfaces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from understudy.errors import InputError
from understudy.tms.conduction import ConductionSolver, Solution, interpolate_potential, primary_at_voxels
from understudy.tms.fields import GridField
from understudy.tms.head_model import GREY, WHITE, HeadModel, label_grid

_FINEST_SUB_VOXEL_MM = 0.125
_VOXEL_BLOCK = 8


class LocalBox:
    """A box of fine voxels whose matrix and hierarchy serve all coil placements.

    Parameters
    ----------
    head : the head that it lies in.
    centre_mm : (3,) of the box.
    size_mm : edge of the box, rounded up to whole blocks of 8 voxels.
    spacing_mm : edge of a voxel.

    Attributes
    ----------
    solver : of the box; the potential of its faces is prescribed.

    Raises
    ------
    InputError
        If there is no grey or white matter in the box, or size or spacing make no sense.
    """

    def __init__(self, head: HeadModel, centre_mm: np.ndarray, size_mm: float = 36.0, spacing_mm: float = 0.5) -> None:
        if not 0 < spacing_mm <= size_mm / _VOXEL_BLOCK:
            raise InputError(
                f"head.local_voxel_mm: found {spacing_mm:g} in a box of {size_mm:g} mm, accepted is above 0 and up to "
                f"{size_mm / _VOXEL_BLOCK:g}"
            )
        cells = _VOXEL_BLOCK * int(np.ceil(size_mm / spacing_mm / _VOXEL_BLOCK - 1e-9))
        factor = int(np.clip(round(spacing_mm / _FINEST_SUB_VOXEL_MM), 2, 4))
        affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
        affine[:3, 3] = np.asarray(centre_mm, dtype=float) - 0.5 * (cells - 1) * spacing_mm
        fine = label_grid(
            head.maps,
            head.map_affine,
            head.cortex,
            head.shells_mm,
            affine[:3, 3] + (0.5 / factor - 0.5) * spacing_mm,
            spacing_mm / factor,
            (cells * factor,) * 3,
        )
        if not ((fine == GREY) | (fine == WHITE)).any():
            raise InputError(f"local box: found no grey or white matter about {np.round(centre_mm, 1).tolist()} mm")
        faces = np.ones((cells + 1,) * 3, dtype=bool)
        faces[1:-1, 1:-1, 1:-1] = False
        self.solver = ConductionSolver(fine, factor, head.conductivity, affine, prescribed=faces)
        corners = np.argwhere(faces)
        self._faces = tuple(corners.T)
        self._face_mm = corners * spacing_mm + self.solver.node_affine[:3, 3]

    def solve(
        self,
        whole: ConductionSolver,
        solution: Solution,
        primary: Callable[[np.ndarray], np.ndarray],
        sources_mm: np.ndarray,
        tolerance: float = 1e-6,
    ) -> Solution:
        """Potential and field in the box, with the whole head's potential on its faces.

        Parameters
        ----------
        whole, solution : the whole head's solver and its answer for this placement.
        primary : primary field V/m (N, 3) at points (N, 3) mm.
        sources_mm : (P, 3) mm, the coil's dipoles.
        """
        potential = np.zeros(tuple(extent + 1 for extent in self.solver.label.shape))
        potential[self._faces] = interpolate_potential(whole, solution, self._face_mm)
        at_voxels = primary_at_voxels(self.solver, primary, sources_mm)
        return self.solver.solve(at_voxels, potential=potential, tolerance=tolerance)

    def field(self, solution: Solution) -> GridField:
        """The box's field in grey and white matter."""
        return tissue_field(self.solver, solution)


def tissue_field(
    solver: ConductionSolver, solution: Solution, tissues: tuple[int, ...] = (GREY, WHITE), margin: int = 0
) -> GridField:
    """A solution at the voxels' centres as a field that can be sampled within ``tissues``.

    ``margin`` voxels at the grid's faces are left out.
    """
    value = np.full((*solver.label.shape, 3), np.nan, dtype=np.float32)
    value[tuple(solver.voxels.T)] = solution.field
    tissue = np.isin(solver.label, tissues)
    if margin:
        kept = np.zeros_like(tissue)
        kept[margin:-margin, margin:-margin, margin:-margin] = True
        tissue &= kept
    return GridField(value, solver.affine, tissue)
