"""Fibres as potential flows in the white matter, fed by the cortex: a synthetic orientation field.

Each class of fibres is a flow q = -c grad(phi) with div q = sources, without flux through the rest of the white
matter's surface: a fibre neither starts nor ends inside the white matter, so the density of fibres is conserved and
they fan, gather and follow gyral blades by themselves.

- commissural fibres enter at the cortex of the right hemisphere and leave at that of the left: only the commissures
  connect the two, so the flow gathers in the corpus callosum and crosses the midline left to right;
- projection fibres enter at the cerebral and cerebellar cortex and leave at the foot of the brain stem: they gather in
  the corona radiata, the internal capsule and the peduncles;
- association fibres enter at the frontal cortex and leave at the posterior cortex of the same hemisphere.

The orientation tensor is the sum of |q| n n^T over the classes. The flows are solved on one grid, whatever the voxels
that the tensors are wanted on: on coarse ones the brain stem would come apart from the cerebrum. All of this is a
stand-in for a tractogram: plausible, smooth, without individual tracts.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg
from scipy.spatial import cKDTree

from understudy.anatomy import load_template
from understudy.axon.brain_mesh import cell_means
from understudy.axon.white_matter import WhiteMatter, voxel_neighbours, voxels_at, white_matter_voxels

# Fibres of each class that start at one voxel of cortex, relative to projection fibres (estimate; most fibres that
# leave the cortex are association fibres, but short ones, which stay in the gyri and follow the other classes there).
_COMMISSURAL = 1.0
_PROJECTION = 1.0
_ASSOCIATION = 0.5

# Boxes in MNI152 mm (estimates from the template): grey matter of thalamus and basal ganglia is no cortex; cerebellum;
# foot of the brain stem.
_DEEP_GREY_MM = np.array([[-34.0, 34.0], [-42.0, 26.0], [-22.0, 24.0]])
_CEREBELLUM_MM = np.array([[-60.0, 60.0], [-100.0, -38.0], [-72.0, -18.0]])
_STEM_FOOT_MM = np.array([[-14.0, 14.0], [-56.0, -26.0], [-72.0, -52.0]])
_FRONTAL_MM = 10.0
_POSTERIOR_MM = -50.0

_GREY_MATTER = 0.5
_GRID_MM = 2.0
_WHITE_MATTER = 0.38
# Relative residual: against 1e-9, 99.9 % of the directions move by less than 0.003 degrees.
_SOLVER_TOLERANCE = 1e-6


def _within(points_mm: np.ndarray, box_mm: np.ndarray) -> np.ndarray:
    return ((points_mm >= box_mm[:, 0]) & (points_mm <= box_mm[:, 1])).all(axis=1)


def cortical_border(white_matter: WhiteMatter) -> np.ndarray:
    """(v,) bool, white-matter voxels with a face, edge or corner neighbour that is cortical grey matter."""
    grey, _ = load_template("gm")
    cortex = cell_means(grey, white_matter.voxel_mm) > _GREY_MATTER
    near = ndimage.binary_dilation(cortex, structure=np.ones((3, 3, 3), dtype=bool))
    return near[tuple(white_matter.index.T)] & ~_within(white_matter.centre_mm, _DEEP_GREY_MM)


def _balanced(enter: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """Sources (v,) with one unit at each voxel of ``enter`` and the same total, negative, spread over ``leave``."""
    if not enter.any() or not leave.any():
        return np.zeros(len(enter))
    return enter.astype(float) - leave * (enter.sum() / leave.sum())


def _flow(sources: np.ndarray, laplacian: sparse.csr_matrix, edges: np.ndarray, conductance: np.ndarray) -> np.ndarray:
    """Flux (v, 3) of the potential flow with given sources (v,) that sum to zero."""
    flux = np.zeros((len(sources), 3))
    if not sources.any():
        return flux
    preconditioner = sparse.diags(1.0 / laplacian.diagonal())
    # The pure Neumann problem is singular but consistent: conjugate gradients stay in the range of the operator.
    potential, status = cg(laplacian, sources, rtol=_SOLVER_TOLERANCE, maxiter=20_000, M=preconditioner)
    if status != 0:
        raise ArithmeticError("fibre flow: conjugate gradients did not converge")
    first, second, axis = edges.T
    along = conductance * (potential[first] - potential[second])
    # The flux at a voxel is the mean of those through its two faces; a closed face carries none.
    np.add.at(flux, (first, axis), 0.5 * along)
    np.add.at(flux, (second, axis), 0.5 * along)
    return flux


def flow_tensors(white_matter: WhiteMatter) -> tuple[np.ndarray, np.ndarray]:
    """Commissural, projection and association flow in the largest connected part of the white matter.

    Returns
    -------
    rows : (r,) voxels that fibres pass.
    tensor : (r, 6) their orientation tensors xx, yy, zz, xy, xz, yz with trace 1.
    """
    pairs = voxel_neighbours(white_matter)
    n = len(white_matter.index)
    _, component = connected_components(
        sparse.coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n)), directed=False
    )
    main = component == np.bincount(component).argmax()
    number = np.cumsum(main) - 1
    pairs = number[pairs[main[pairs].all(axis=1)]]
    centre, probability = white_matter.centre_mm[main], white_matter.probability[main]
    index = white_matter.index[main]
    # Each pair differs by one along one axis, the second being the further one.
    edges = np.column_stack([pairs, (index[pairs[:, 1]] - index[pairs[:, 0]]).argmax(axis=1)])
    conductance = 0.5 * (probability[pairs[:, 0]] + probability[pairs[:, 1]])
    m = len(index)
    weights = sparse.coo_matrix((conductance, (pairs[:, 0], pairs[:, 1])), shape=(m, m)).tocsr()
    weights = weights + weights.T
    laplacian = (sparse.diags(np.asarray(weights.sum(axis=1)).ravel()) - weights).tocsr()

    cortex = cortical_border(white_matter)[main]
    cerebrum = cortex & ~_within(centre, _CEREBELLUM_MM)
    right, left = centre[:, 0] > 0, centre[:, 0] < 0
    frontal, posterior = centre[:, 1] > _FRONTAL_MM, centre[:, 1] < _POSTERIOR_MM
    association = sum(_balanced(cerebrum & side & frontal, cerebrum & side & posterior) for side in (left, right))
    classes = (
        _COMMISSURAL * _balanced(cerebrum & right, cerebrum & left),
        _PROJECTION * _balanced(cortex, _within(centre, _STEM_FOOT_MM)),
        _ASSOCIATION * association,
    )
    tensor = np.zeros((m, 6))
    for sources in classes:
        flux = _flow(sources, laplacian, edges, conductance)
        size = np.linalg.norm(flux, axis=1)
        direction = flux / np.maximum(size, np.finfo(float).tiny)[:, None]
        tensor += size[:, None] * direction[:, [0, 1, 2, 0, 0, 1]] * direction[:, [0, 1, 2, 1, 2, 2]]
    size = tensor[:, :3].sum(axis=1)
    fed = size > 0
    return np.flatnonzero(main)[fed], tensor[fed] / size[fed, None]


def cortical_flow_tensors(white_matter: WhiteMatter) -> np.ndarray:
    """Orientation tensors (v, 6): xx, yy, zz, xy, xz, yz with trace 1, of the three classes of fibres.

    A voxel takes the mean over the points of the 2 mm grid inside it, or the nearest point where it holds none.
    """
    grid = white_matter_voxels(_GRID_MM, _WHITE_MATTER)
    rows, tensor = flow_tensors(grid)
    place_mm = grid.centre_mm[rows]
    _, nearest = cKDTree(place_mm).query(white_matter.centre_mm)
    wanted = tensor[nearest]
    voxel = voxels_at(place_mm, white_matter)
    held = voxel >= 0
    count = np.bincount(voxel[held], minlength=len(wanted))
    for k in range(6):
        total = np.bincount(voxel[held], weights=tensor[held, k], minlength=len(wanted))
        wanted[count > 0, k] = total[count > 0] / count[count > 0]
    return wanted
