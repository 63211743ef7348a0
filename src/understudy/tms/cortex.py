"""The cortical surfaces of fsaverage in MNI152 space: where the cells are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.sparse

from understudy.anatomy import nilearn_image
from understudy.errors import InputError

FSAVERAGE_TO_MNI152 = np.array(
    [
        [0.9975, -0.0073, 0.0176, -0.0429],
        [0.0146, 1.0009, -0.0024, 1.5496],
        [-0.0130, -0.0093, 0.9971, 1.1840],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
"""fsaverage surface coordinates (MNI305) to MNI152, mm (recalled: FreeSurfer, CoordinateSystems page; its inverse,
taken by mistake, moves the cortex by 3 mm)."""

LAYER_DEPTH = {"L23_PC": 0.40, "L4_LBC": 0.55, "L5_TTPC": 0.65}
"""Depth of the somata of each cell type over the cortex's thickness, 0 at the pia (recalled: Aberra et al. 2020)."""

HAND_KNOB_MM = (-37.0, -21.0, 58.0)
"""Hand area of the left motor cortex in MNI152 (recalled: common coordinate of motor TMS)."""

_LEAST_THICKNESS_MM = 0.5


@dataclass(frozen=True)
class Cortex:
    """One hemisphere's surfaces, V vertices.

    Attributes
    ----------
    white, pial : (V, 3) mm; faces (F, 3), the same for both, wound so that normals point outwards.
    hemisphere : ``left`` or ``right``.
    """

    white: np.ndarray
    pial: np.ndarray
    faces: np.ndarray
    hemisphere: str

    @property
    def thickness_mm(self) -> np.ndarray:
        """(V,) distance between the two places of each vertex."""
        return np.linalg.norm(self.pial - self.white, axis=1)

    @property
    def is_cortex(self) -> np.ndarray:
        """(V,) bool; elsewhere (the medial wall) both surfaces coincide."""
        return self.thickness_mm > _LEAST_THICKNESS_MM

    @property
    def normals(self) -> np.ndarray:
        """(V, 3) unit vectors from white to pial; on the medial wall, where there are none, NaN."""
        thickness = self.thickness_mm
        return np.where(self.is_cortex, 1 / np.maximum(thickness, 1e-9), np.nan)[:, None] * (self.pial - self.white)

    def at_depth(self, depth: float) -> np.ndarray:
        """(V, 3) mm at a normalised depth, 0 at the pia and 1 at the white surface."""
        return self.pial + depth * (self.white - self.pial)


def load_cortex(hemisphere: Literal["left", "right"]) -> Cortex:
    """White and pial surface of fsaverage5 in MNI152 space, from the files inside nilearn.

    Source: Fischl et al. 1999, Hum Brain Mapp 8:272 (fsaverage); the files come with nilearn.
    """
    if hemisphere not in ("left", "right"):
        raise InputError(f"hemisphere: found {hemisphere!r}, accepted are left, right")
    surfaces = {}
    for name in ("white", "pial"):
        image = nilearn_image(f"fsaverage5/{name}_{hemisphere}.gii.gz")
        points = image.agg_data("pointset").astype(np.float64)
        surfaces[name] = points @ FSAVERAGE_TO_MNI152[:3, :3].T + FSAVERAGE_TO_MNI152[:3, 3]
        faces = image.agg_data("triangle").astype(np.int64)
    corner = surfaces["white"][faces]
    volume = np.einsum("fi,fi->", corner[:, 0], np.cross(corner[:, 1], corner[:, 2]))
    return Cortex(surfaces["white"], surfaces["pial"], faces if volume > 0 else faces[:, ::-1].copy(), hemisphere)


def layer_positions(cortex: Cortex, cell_type: str) -> np.ndarray:
    """Somata's places (V, 3) mm of a cell type at every vertex.

    Raises
    ------
    InputError
        For a cell type without a layer.
    """
    if cell_type not in LAYER_DEPTH:
        raise InputError(f"cell type: found {cell_type!r}, accepted are {', '.join(LAYER_DEPTH)}")
    return cortex.at_depth(LAYER_DEPTH[cell_type])


def surface_distances(cortex: Cortex, vertices: np.ndarray, limit_mm: float = np.inf) -> np.ndarray:
    """Distances (n, V) mm along the edges of the mid-cortical surface from each of ``vertices`` (n,)."""
    middle = cortex.at_depth(0.5)
    start = cortex.faces.ravel()
    end = np.roll(cortex.faces, -1, axis=1).ravel()
    length = np.linalg.norm(middle[start] - middle[end], axis=1)
    graph = scipy.sparse.coo_matrix((length, (start, end)), shape=(len(middle), len(middle))).tocsr()
    return scipy.sparse.csgraph.dijkstra(graph.maximum(graph.T), indices=vertices, limit=limit_mm)


def nearest_vertex(cortex: Cortex, point_mm: np.ndarray) -> int:
    """The vertex of the mid-cortical surface nearest to a point (3,) mm, the medial wall left out."""
    distance = np.linalg.norm(cortex.at_depth(0.5) - np.asarray(point_mm, dtype=float), axis=1)
    return int(np.argmin(np.where(cortex.is_cortex, distance, np.inf)))


@dataclass(frozen=True)
class Patch:
    """Vertices near one another.

    Attributes
    ----------
    centre : vertex in the middle.
    vertices : (n,) vertices within the patch's radius, rising.
    """

    centre: int
    vertices: np.ndarray


def patches(
    cortex: Cortex,
    count: int,
    radius_mm: float = 10.0,
    *,
    candidates: np.ndarray | None = None,
    first_mm: np.ndarray | None = HAND_KNOB_MM,
    gap_mm: float = 0.0,
) -> tuple[Patch, ...]:
    """Disjoint patches over the cortex, each as far from all earlier ones as can be.

    Parameters
    ----------
    count : of patches; radius_mm of a patch along the surface.
    candidates : (V,) bool, vertices that may be a centre; none: all of the cortex.
    first_mm : (3,) the first patch is the one nearest to this point; None: nearest to the candidates' centre.
    gap_mm : least distance between patches.

    Raises
    ------
    InputError
        If there is no room for as many.
    """
    allowed = cortex.is_cortex if candidates is None else cortex.is_cortex & np.asarray(candidates, dtype=bool)
    if not allowed.any():
        raise InputError("patches: found no vertex that may be a centre, accepted is at least one")
    middle = cortex.at_depth(0.5)
    aim = middle[allowed].mean(axis=0) if first_mm is None else np.asarray(first_mm, dtype=float)
    centre = int(np.argmin(np.where(allowed, np.linalg.norm(middle - aim, axis=1), np.inf)))
    nearest = np.full(len(middle), np.inf)
    found = []
    for number in range(count):
        distance = surface_distances(cortex, np.array([centre]))[0]
        found.append(Patch(centre, np.flatnonzero((distance <= radius_mm) & cortex.is_cortex)))
        nearest = np.minimum(nearest, distance)
        free = np.where(allowed & np.isfinite(nearest), nearest, -1.0)
        centre = int(np.argmax(free))
        if number + 1 < count and free[centre] < 2 * radius_mm + gap_mm:
            raise InputError(
                f"patches: found room for {number + 1} of radius {radius_mm:g} mm and {gap_mm:g} mm apart, wanted are "
                f"{count}; accepted are fewer, smaller or nearer ones"
            )
    return tuple(found)
