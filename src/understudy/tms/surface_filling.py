"""Which grid points lie inside a closed triangle surface."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def _mark_crossings(vertices, faces, shape):
    """(nx, ny, nz) int8: change of the winding number between grid points along z; vertices in grid units."""
    change = np.zeros(shape, np.int8)
    for f in range(len(faces)):
        a, b, c = vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0.0:
            continue
        step = 1 if area > 0 else -1
        first_x = max(0, int(np.ceil(min(a[0], b[0], c[0]))))
        last_x = min(shape[0] - 1, int(np.floor(max(a[0], b[0], c[0]))))
        first_y = max(0, int(np.ceil(min(a[1], b[1], c[1]))))
        last_y = min(shape[1] - 1, int(np.floor(max(a[1], b[1], c[1]))))
        for x in range(first_x, last_x + 1):
            for y in range(first_y, last_y + 1):
                u = ((b[0] - x) * (c[1] - y) - (b[1] - y) * (c[0] - x)) / area
                v = ((c[0] - x) * (a[1] - y) - (c[1] - y) * (a[0] - x)) / area
                w = 1 - u - v
                if u < 0 or v < 0 or w < 0:
                    continue
                above = int(np.ceil(u * a[2] + v * b[2] + w * c[2]))
                if above < shape[2]:
                    change[x, y, max(above, 0)] += step
    return change


@numba.njit(cache=True)
def _accumulate(change):
    inside = np.zeros(change.shape, np.bool_)
    for x in range(change.shape[0]):
        for y in range(change.shape[1]):
            winding = 0
            for z in range(change.shape[2]):
                winding += change[x, y, z]
                inside[x, y, z] = winding != 0
    return inside


def points_inside(
    vertices_mm: np.ndarray, faces: np.ndarray, origin_mm: np.ndarray, spacing_mm: float, shape: tuple[int, int, int]
) -> np.ndarray:
    """Whether each point of a grid lies inside a closed surface.

    Parameters
    ----------
    vertices_mm : (V, 3); faces (F, 3), all wound alike.
    origin_mm : (3,) the grid's first point; spacing_mm between points; shape of the grid.

    Returns
    -------
    (nx, ny, nz) bool: the winding number is not zero, from crossings of the grid's columns along z. Overlapping folds
    of the surface count as inside.
    """
    # The shift keeps columns off vertices and edges, where a crossing would count twice or not at all.
    index = (np.asarray(vertices_mm, dtype=np.float64) - origin_mm) / spacing_mm + (1.7e-5, 2.9e-5, 0.0)
    return _accumulate(_mark_crossings(index, np.ascontiguousarray(faces, dtype=np.int64), tuple(shape)))
