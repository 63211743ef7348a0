"""Fields in tetrahedral meshes: values at nodes, linear between them, or values of whole tetrahedra."""

from __future__ import annotations

from dataclasses import dataclass, field

import numba
import numpy as np

from understudy.errors import InputError

# A point on a shared face belongs to one of its tetrahedra whatever the rounding.
_FACE_TOLERANCE = 1e-10
# Bins per tetrahedron of the search grid: some candidates per bin, and not too many bins per tetrahedron.
_BINS_PER_TETRAHEDRON = 0.5


@numba.njit(cache=True, error_model="numpy")
def _bin_tetrahedra(nodes, tetrahedra, origin, size, shape, start, item):
    """Which tetrahedra touch each bin, by bounding boxes; with an empty ``item`` their number, into ``start`` + 1."""
    counting = item.size == 0
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for t in range(tetrahedra.shape[0]):
        for axis in range(3):
            a = b = nodes[tetrahedra[t, 0], axis]
            for corner in range(1, 4):
                value = nodes[tetrahedra[t, corner], axis]
                a, b = min(a, value), max(b, value)
            low[axis] = min(max(int((a - origin[axis]) / size), 0), shape[axis] - 1)
            high[axis] = min(max(int((b - origin[axis]) / size), 0), shape[axis] - 1)
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                for k in range(low[2], high[2] + 1):
                    bin_number = (i * shape[1] + j) * shape[2] + k
                    if counting:
                        start[bin_number + 1] += 1
                    else:
                        item[start[bin_number]] = t
                        start[bin_number] += 1


@numba.njit(cache=True, error_model="numpy")
def _weights(nodes, tetrahedra, t, x, y, z):
    """Barycentric coordinates of a point in tetrahedron t."""
    a, b, c, d = tetrahedra[t, 0], tetrahedra[t, 1], tetrahedra[t, 2], tetrahedra[t, 3]
    ux, uy, uz = nodes[b, 0] - nodes[a, 0], nodes[b, 1] - nodes[a, 1], nodes[b, 2] - nodes[a, 2]
    vx, vy, vz = nodes[c, 0] - nodes[a, 0], nodes[c, 1] - nodes[a, 1], nodes[c, 2] - nodes[a, 2]
    wx, wy, wz = nodes[d, 0] - nodes[a, 0], nodes[d, 1] - nodes[a, 1], nodes[d, 2] - nodes[a, 2]
    px, py, pz = x - nodes[a, 0], y - nodes[a, 1], z - nodes[a, 2]
    vw = (vy * wz - vz * wy, vz * wx - vx * wz, vx * wy - vy * wx)
    wu = (wy * uz - wz * uy, wz * ux - wx * uz, wx * uy - wy * ux)
    uv = (uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)
    scale = 1.0 / (ux * vw[0] + uy * vw[1] + uz * vw[2])
    p = scale * (px * vw[0] + py * vw[1] + pz * vw[2])
    q = scale * (px * wu[0] + py * wu[1] + pz * wu[2])
    s = scale * (px * uv[0] + py * uv[1] + pz * uv[2])
    return 1.0 - p - q - s, p, q, s


@numba.njit(cache=True, error_model="numpy")
def _locate(nodes, tetrahedra, origin, size, shape, start, item, points, found, weight):
    """Tetrahedron of each point, -1 for none, and its barycentric coordinates."""
    last = -1
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        found[n] = -1
        # Neighbouring compartments lie in the same tetrahedron more often than not.
        if last >= 0:
            w = _weights(nodes, tetrahedra, last, x, y, z)
            if min(w[0], w[1], w[2], w[3]) >= -_FACE_TOLERANCE:
                found[n] = last
                weight[n, 0], weight[n, 1], weight[n, 2], weight[n, 3] = w
                continue
        i, j, k = np.floor((x - origin[0]) / size), np.floor((y - origin[1]) / size), np.floor((z - origin[2]) / size)
        if not (i >= 0 and j >= 0 and k >= 0 and i < shape[0] and j < shape[1] and k < shape[2]):
            continue
        bin_number = (int(i) * shape[1] + int(j)) * shape[2] + int(k)
        best = -_FACE_TOLERANCE
        for place in range(start[bin_number], start[bin_number + 1]):
            t = item[place]
            w = _weights(nodes, tetrahedra, t, x, y, z)
            least = min(w[0], w[1], w[2], w[3])
            # The first tetrahedron that holds the point wins: its place in the file, not the search, decides.
            if least >= best:
                found[n] = last = t
                weight[n, 0], weight[n, 1], weight[n, 2], weight[n, 3] = w
                break


@numba.njit(cache=True, error_model="numpy")
def _solve_symmetric(a, b):
    """Solve a x = b in place for a (4, 4), b (4, 3) by Gauss with pivots; False if ``a`` is close to singular."""
    largest = 0.0
    for i in range(4):
        largest = max(largest, a[i, i])
    for i in range(4):
        pivot = i
        for j in range(i + 1, 4):
            if abs(a[j, i]) > abs(a[pivot, i]):
                pivot = j
        if not abs(a[pivot, i]) > 1e-6 * largest:
            return False
        for k in range(4):
            a[i, k], a[pivot, k] = a[pivot, k], a[i, k]
        for k in range(3):
            b[i, k], b[pivot, k] = b[pivot, k], b[i, k]
        for j in range(4):
            if j != i:
                factor = a[j, i] / a[i, i]
                for k in range(i, 4):
                    a[j, k] -= factor * a[i, k]
                for k in range(3):
                    b[j, k] -= factor * b[i, k]
    for i in range(4):
        for k in range(3):
            b[i, k] /= a[i, i]
    return True


@numba.njit(cache=True, error_model="numpy")
def _recover(nodes, tetrahedra, value, start, around, result):
    """Linear least squares through the values at the centres of the tetrahedra around each node, read at the node."""
    a, b, row = np.empty((4, 4)), np.empty((4, 3)), np.empty(4)
    for n in range(nodes.shape[0]):
        number = start[n + 1] - start[n]
        if number == 0:
            continue
        reach = 0.0
        for pass_number in range(2):
            a[:] = 0.0
            b[:] = 0.0
            for place in range(start[n], start[n + 1]):
                t = around[place]
                row[0] = 1.0
                for axis in range(3):
                    centre = 0.0
                    for corner in range(4):
                        centre += 0.25 * nodes[tetrahedra[t, corner], axis]
                    row[1 + axis] = centre - nodes[n, axis]
                if pass_number == 0:
                    reach = max(reach, np.sqrt(row[1] ** 2 + row[2] ** 2 + row[3] ** 2))
                    continue
                for axis in range(3):
                    row[1 + axis] /= reach
                for i in range(4):
                    for j in range(4):
                        a[i, j] += row[i] * row[j] / number
                    for j in range(3):
                        b[i, j] += row[i] * value[t, j] / number
        # At corners of the mesh the few tetrahedra around a node may not fix a slope: their mean must do.
        mean = b[0].copy()
        if number >= 4 and _solve_symmetric(a, b):
            result[n, 0], result[n, 1], result[n, 2] = b[0, 0], b[0, 1], b[0, 2]
        else:
            result[n, 0], result[n, 1], result[n, 2] = mean[0], mean[1], mean[2]


def recovered_at_nodes(nodes: np.ndarray, tetrahedra: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Values (t, 3) of tetrahedra as values (n, 3) at nodes, NaN at nodes of none.

    Superconvergent patch recovery (Zienkiewicz & Zhu 1992, Int J Numer Methods Eng 33:1331): a linear least-squares fit
    through the tetrahedra around a node, exact for linear fields.
    """
    corner = tetrahedra.ravel()
    order = np.argsort(corner, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(corner, minlength=len(nodes)))])
    result = np.full((len(nodes), 3), np.nan)
    _recover(nodes, tetrahedra, np.ascontiguousarray(value, dtype=float), start, order // 4, result)
    return result


@dataclass(frozen=True)
class MeshField:
    """Vectors in tetrahedra.

    Attributes
    ----------
    nodes : (n, 3) mm.
    tetrahedra : (t, 4), numbers of nodes; only tissue that counts as inside.
    value : (n, 3) V/m at nodes, linear within tetrahedra; or (t, 3), constant within each. With ``at_nodes`` None the
        length tells which.
    """

    nodes: np.ndarray
    tetrahedra: np.ndarray
    value: np.ndarray
    at_nodes: bool | None = None
    _grid: tuple = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        nodes = np.ascontiguousarray(self.nodes, dtype=float)
        tetrahedra = np.ascontiguousarray(self.tetrahedra, dtype=np.int64)
        value = np.ascontiguousarray(self.value, dtype=float)
        at_nodes = len(value) == len(nodes) if self.at_nodes is None else self.at_nodes
        if len(tetrahedra) == 0:
            raise InputError("field mesh: found no tetrahedra, accepted is at least one")
        if value.ndim != 2 or value.shape[1] != 3 or len(value) != (len(nodes) if at_nodes else len(tetrahedra)):
            raise InputError(
                f"field mesh: found values {value.shape}, accepted are three components for each of {len(nodes)} "
                f"nodes or {len(tetrahedra)} tetrahedra"
            )
        used = nodes[np.unique(tetrahedra)]
        low, high = used.min(axis=0), used.max(axis=0)
        size = float((np.prod(np.maximum(high - low, 1e-9)) / (_BINS_PER_TETRAHEDRON * len(tetrahedra))) ** (1 / 3))
        origin = low - 1e-6 * size
        shape = np.maximum(np.floor((high - origin) / size).astype(np.int64) + 1, 1)
        start = np.zeros(int(np.prod(shape)) + 1, dtype=np.int64)
        _bin_tetrahedra(nodes, tetrahedra, origin, size, shape, start, np.empty(0, np.int64))
        start = np.cumsum(start)
        item, place = np.empty(max(int(start[-1]), 1), dtype=np.int64), start[:-1].copy()
        _bin_tetrahedra(nodes, tetrahedra, origin, size, shape, place, item)
        for name, array in (("nodes", nodes), ("tetrahedra", tetrahedra), ("value", value), ("at_nodes", at_nodes)):
            object.__setattr__(self, name, array)
        object.__setattr__(self, "_grid", (origin, size, shape, start, item))

    def locate(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tetrahedron (N,) of each point, -1 for none, and barycentric coordinates (N, 4)."""
        points = np.ascontiguousarray(points_mm, dtype=float).reshape(-1, 3)
        found, weight = np.empty(len(points), dtype=np.int64), np.zeros((len(points), 4))
        _locate(self.nodes, self.tetrahedra, *self._grid, points, found, weight)
        return found, weight

    def sample(self, points_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E (N, 3) V/m, NaN outside, and inside (N,) bool."""
        found, weight = self.locate(points_mm)
        inside = found >= 0
        value = np.full((len(found), 3), np.nan)
        if self.at_nodes:
            value[inside] = np.einsum("nc,nci->ni", weight[inside], self.value[self.tetrahedra[found[inside]]])
        else:
            value[inside] = self.value[found[inside]]
        return value, inside & np.isfinite(value).all(axis=1)

    @property
    def bounds_mm(self) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest coordinates (3,) of the tetrahedra's nodes."""
        used = self.nodes[np.unique(self.tetrahedra)]
        return used.min(axis=0), used.max(axis=0)
