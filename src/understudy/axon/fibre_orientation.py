"""Fibre orientation per white-matter voxel, from streamlines or from the anatomy alone.

From streamlines: the orientation tensor of a voxel is the length-weighted mean of d d^T over the parts of segments
inside it, found by exact traversal of the grid; the fibre direction is its principal eigenvector and the coherence its
largest eigenvalue (1 for parallel fibres, 1/3 for isotropy). Voxels without streamlines get the tensor that solves
Laplace's equation on the voxel graph with the covered voxels as Dirichlet data.

From the anatomy alone (`synthetic_field`): fibres as potential flows that the cortex feeds; see there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from understudy.axon.brain_mesh import CSF, BrainMesh, head_to_mni
from understudy.axon.fibre_flow import cortical_flow_tensors
from understudy.axon.white_matter import WhiteMatter, grid_coordinates, voxel_neighbours, voxel_numbers, voxels_at
from understudy.errors import InputError

# A voxel counts as covered when streamlines run at least this part of its edge inside it: a cut corner is no evidence.
_COVERED_LENGTH = 0.1
_BATCH_POINTS = 200_000
_SOLVER_TOLERANCE = 1e-8

# Rows and columns of the six independent components of a symmetric tensor.
_ROW = np.array([0, 1, 2, 0, 0, 1])
_COLUMN = np.array([0, 1, 2, 1, 2, 2])


@dataclass(frozen=True)
class FibreField:
    """Fibre orientation on the voxels of a `WhiteMatter`.

    Attributes
    ----------
    direction : (v, 3) unit vectors (RAS); the sign has no meaning: the largest component is positive.
    coherence : (v,) largest eigenvalue of the orientation tensor, 1/3 to 1.
    covered : (v,) bool, True where streamlines gave the direction, False where it was filled or synthesised.
    source : ``tractogram`` or ``synthetic``.
    """

    direction: np.ndarray
    coherence: np.ndarray
    covered: np.ndarray
    source: Literal["tractogram", "synthetic"]


@numba.njit(cache=True, error_model="numpy")
def _add_segments(points, ends, numbers, tensor, length):
    """Add each segment's length within each voxel, times d d^T, to ``tensor`` (v, 6) and ``length`` (v,).

    points (n, 3) in grid coordinates, the streamlines one after the other; ends (s,) index after each one's last point;
    numbers (nx, ny, nz) voxel rows or -1. Lengths are in voxel edges.
    """
    cell = np.empty(3, np.int64)
    step = np.empty(3, np.int64)
    next_crossing = np.empty(3)
    between = np.empty(3)
    d = np.empty(3)
    first = 0
    for end in ends:
        for k in range(first, end - 1):
            total = 0.0
            for a in range(3):
                d[a] = points[k + 1, a] - points[k, a]
                total += d[a] * d[a]
            total = np.sqrt(total)
            if total == 0.0:
                continue
            for a in range(3):
                cell[a] = int(np.floor(points[k, a]))
                if d[a] > 0:
                    step[a] = 1
                    next_crossing[a] = (cell[a] + 1 - points[k, a]) / d[a]
                    between[a] = 1.0 / d[a]
                elif d[a] < 0:
                    step[a] = -1
                    next_crossing[a] = (cell[a] - points[k, a]) / d[a]
                    between[a] = -1.0 / d[a]
                else:
                    step[a] = 0
                    next_crossing[a] = np.inf
                    between[a] = np.inf
            for a in range(3):
                d[a] /= total
            here = 0.0
            while here < 1.0:
                axis = 0
                if next_crossing[1] < next_crossing[axis]:
                    axis = 1
                if next_crossing[2] < next_crossing[axis]:
                    axis = 2
                there = min(next_crossing[axis], 1.0)
                if (
                    0 <= cell[0] < numbers.shape[0]
                    and 0 <= cell[1] < numbers.shape[1]
                    and 0 <= cell[2] < numbers.shape[2]
                ):
                    row = numbers[cell[0], cell[1], cell[2]]
                    if row >= 0:
                        part = (there - here) * total
                        length[row] += part
                        tensor[row, 0] += part * d[0] * d[0]
                        tensor[row, 1] += part * d[1] * d[1]
                        tensor[row, 2] += part * d[2] * d[2]
                        tensor[row, 3] += part * d[0] * d[1]
                        tensor[row, 4] += part * d[0] * d[2]
                        tensor[row, 5] += part * d[1] * d[2]
                here = there
                cell[axis] += step[axis]
                next_crossing[axis] += between[axis]
        first = end


def orientation_tensors(streamlines: Iterable[np.ndarray], white_matter: WhiteMatter) -> tuple[np.ndarray, np.ndarray]:
    """Length-weighted mean of d d^T per voxel.

    Parameters
    ----------
    streamlines : (n, 3) arrays in MNI152 RAS mm; read once, in batches.

    Returns
    -------
    tensor : (v, 6) components xx, yy, zz, xy, xz, yz with trace 1; zero where no streamline passes.
    length_mm : (v,) length of streamlines inside the voxel.
    """
    numbers = voxel_numbers(white_matter)
    tensor = np.zeros((len(white_matter.index), 6))
    length = np.zeros(len(white_matter.index))

    def add(batch: list[np.ndarray]) -> None:
        points = grid_coordinates(np.concatenate(batch), white_matter)
        _add_segments(points, np.cumsum([len(streamline) for streamline in batch]), numbers, tensor, length)

    batch: list[np.ndarray] = []
    waiting = 0
    for streamline in streamlines:
        if len(streamline) < 2:
            continue
        batch.append(np.asarray(streamline))
        waiting += len(streamline)
        if waiting >= _BATCH_POINTS:
            add(batch)
            batch, waiting = [], 0
    if batch:
        add(batch)
    passed = length > 0
    tensor[passed] /= length[passed, None]
    return tensor, length * white_matter.voxel_mm


def principal_directions(tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unit principal eigenvectors (v, 3) and shares of the largest eigenvalue in the trace (v,) of tensors (v, 6)."""
    matrix = np.empty((len(tensor), 3, 3))
    matrix[:, _ROW, _COLUMN] = tensor
    matrix[:, _COLUMN, _ROW] = tensor
    values, vectors = np.linalg.eigh(matrix)
    direction = vectors[:, :, 2]
    largest = np.take_along_axis(direction, np.abs(direction).argmax(axis=1)[:, None], axis=1)
    return direction * np.where(largest < 0, -1.0, 1.0), values[:, 2] / values.sum(axis=1)


def diffuse_tensors(tensor: np.ndarray, covered: np.ndarray, white_matter: WhiteMatter) -> np.ndarray:
    """Tensors (v, 6) on all voxels: given on the covered ones, harmonic on the voxel graph elsewhere.

    Gaps that touch no covered voxel take the tensor of the nearest covered voxel.

    Raises
    ------
    InputError
        If no voxel is covered.
    """
    if not covered.any():
        raise InputError("fibres.tractogram: found no streamline inside the white matter; accepted is at least one")
    filled = np.array(tensor, dtype=float)
    n = len(covered)
    pairs = voxel_neighbours(white_matter)
    ones = np.ones(len(pairs))
    adjacency = sparse.coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(n, n)).tocsr()
    adjacency = adjacency + adjacency.T
    gap = np.flatnonzero(~covered)
    among_gaps = adjacency[gap][:, gap]
    to_covered = adjacency[gap][:, covered]
    _, component = connected_components(among_gaps, directed=False)
    touches = np.bincount(component, weights=np.asarray(to_covered.sum(axis=1)).ravel()) > 0
    solvable = touches[component]
    alone = gap[~solvable]
    if len(alone):
        known = np.flatnonzero(covered)
        _, nearest = cKDTree(white_matter.centre_mm[known]).query(white_matter.centre_mm[alone])
        filled[alone] = tensor[known[nearest]]
    gap, among_gaps, to_covered = gap[solvable], among_gaps[solvable][:, solvable], to_covered[solvable]
    if len(gap) == 0:
        return filled
    degree = np.asarray(adjacency[gap].sum(axis=1)).ravel()
    laplacian = sparse.diags(degree) - among_gaps
    preconditioner = sparse.diags(1.0 / degree)
    for k in range(6):
        solution, status = cg(
            laplacian, to_covered @ tensor[covered, k], rtol=_SOLVER_TOLERANCE, maxiter=20_000, M=preconditioner
        )
        if status != 0:
            raise ArithmeticError("tensor diffusion: conjugate gradients did not converge")
        filled[gap, k] = solution
    return filled


def tractogram_field(streamlines: Iterable[np.ndarray], white_matter: WhiteMatter) -> FibreField:
    """Fibre field from streamlines (n, 3) in MNI152 RAS mm; gaps are filled by tensor diffusion.

    Raises
    ------
    InputError
        If no streamline passes through the white matter.
    """
    tensor, length_mm = orientation_tensors(streamlines, white_matter)
    covered = length_mm >= _COVERED_LENGTH * white_matter.voxel_mm
    direction, coherence = principal_directions(diffuse_tensors(tensor, covered, white_matter))
    return FibreField(direction, coherence, covered, "tractogram")


def synthetic_field(white_matter: WhiteMatter) -> FibreField:
    """Plausible fibre field from the template's anatomy alone, for those without a tractogram.

    Commissural, projection and association fibres are potential flows in the white matter that the cortex feeds
    (`understudy.axon.fibre_flow`): together they run left-right in the corpus callosum, superior-inferior in the
    internal capsule and fanning through the corona radiata, and along the gyral blades (radially) below the cortex.
    No voxel counts as covered: none of these directions was measured.
    """
    direction, coherence = principal_directions(cortical_flow_tensors(white_matter))
    return FibreField(direction, coherence, np.zeros(len(direction), dtype=bool), "synthetic")


def element_directions(field: FibreField, white_matter: WhiteMatter, mesh: BrainMesh) -> np.ndarray:
    """Fibre direction (e, 3) of each element; zero where less than half of it is white matter, and in the CSF layer.

    An element is sampled at points at most one voxel apart; its direction is the principal one of the mean n n^T.
    """
    element_mm = mesh.element_m * 1e3 / mesh.scale
    points = max(2, int(np.ceil(element_mm / white_matter.voxel_mm - 1e-9)))
    offsets = (np.stack(np.meshgrid(*3 * [np.arange(points)], indexing="ij"), axis=-1).reshape(-1, 3) + 0.5) / points
    corner = mesh.nodes[mesh.elements].min(axis=1)
    tensor = np.zeros((len(mesh.elements), 6))
    hits = np.zeros(len(mesh.elements), dtype=np.int64)
    for offset in offsets:
        place_mm = head_to_mni(corner + offset * mesh.element_m, mesh)
        row = voxels_at(place_mm, white_matter)
        n = field.direction[row[row >= 0]]
        tensor[row >= 0] += n[:, _ROW] * n[:, _COLUMN]
        hits += row >= 0
    fibrous = (2 * hits >= len(offsets)) & (mesh.tissue != CSF)
    directions = np.zeros((len(mesh.elements), 3))
    directions[fibrous] = principal_directions(tensor[fibrous])[0]
    return directions
