"""The MNI152 head as voxels: white and grey matter, CSF, skull and scalp.

The template has no tissue outside the brain, so CSF, skull and scalp are shells of given thickness about the closed
brain. The cerebral cortex is that of the fsaverage surfaces, so that the whole head and the refined boxes in it agree;
cerebellum, brain stem, deep nuclei and ventricles come from the template's maps. Below the template's lower edge the
head is cut off (no current leaves there), 13 cm from the vertex.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
from scipy import ndimage

from understudy.anatomy import load_template
from understudy.errors import InputError
from understudy.tms.conduction import ConductionSolver
from understudy.tms.cortex import Cortex, load_cortex
from understudy.tms.distance_transform import squared_distance
from understudy.tms.head_variants import HeadVariant, warp_cortex, warp_volumes
from understudy.tms.surface_filling import points_inside

TISSUES = ("air", "white matter", "grey matter", "CSF", "skull", "scalp")
AIR, WHITE, GREY, CSF, SKULL, SCALP = range(6)

CONDUCTIVITY_S_PER_M = np.array([0.0, 0.126, 0.275, 1.654, 0.010, 0.465])
"""By tissue (recalled: standard values of SimNIBS)."""

CSF_MM, SKULL_MM, SCALP_MM = 2.0, 6.5, 6.0
"""Thickness of the shells (estimates, from recalled measurements over the motor cortex: CSF 2-3, skull 6-7, scalp 5-6,
scalp to cortex 14-16 mm)."""

_MARGIN_MM = 14
_CLOSING_MM = 12
_SMOOTHING_MM = 2.5
# How far about the brain distances are known: past the scalp of any variant.
_REACH_MM = 24
# Inside the white surface the template decides only deeper than this and where ventricles and deep nuclei are; outside
# the pial surface only farther than this and where cerebellum and brain stem are (boxes in MNI152 mm, estimates).
# Elsewhere its cortex, which is not quite that of the surfaces, would leave shreds.
_DEEP_MM, _OUTSIDE_MM = 5.0, 5.0
_NUCLEI_MM = ((-38.0, -60.0, -30.0), (38.0, 40.0, 30.0))
_BELOW_MM = ((-60.0, -110.0, -90.0), (60.0, -5.0, 5.0))


@dataclass(frozen=True)
class HeadModel:
    """A head and what is needed to label any finer grid in it.

    Attributes
    ----------
    labels : (nx, ny, nz) uint8, index into `TISSUES`: the tissue with most of the voxel.
    affine : (4, 4), voxel index to mm.
    conductivity : (6,) S/m.
    fine : (nx s, ny s, nz s) uint8, tissue of the sub-voxels, and ``factor`` s.
    cortex : left and right cortical surfaces in this head.
    maps : volumes at 1 mm of which labels are made, float32: ``gm`` and ``wm`` probabilities, ``outside_mm`` distance
        from the brain (negative inside); and bool: ``deep`` in the white surface and ``other``
        than cerebrum, where the maps decide.
    map_affine : (4, 4), index of a map's voxel to mm.
    shells_mm : thickness of CSF, skull and scalp.
    """

    labels: np.ndarray
    affine: np.ndarray
    conductivity: np.ndarray
    fine: np.ndarray
    factor: int
    cortex: tuple[Cortex, Cortex]
    maps: dict[str, np.ndarray]
    map_affine: np.ndarray
    shells_mm: tuple[float, float, float]

    def solver(self) -> ConductionSolver:
        """The whole head's solver: its matrix and hierarchy take seconds, so keep it."""
        return ConductionSolver(self.fine, self.factor, self.conductivity, self.affine)

    def height_mm(self, points_mm: np.ndarray) -> np.ndarray:
        """(N,) distance of points (N, 3) mm from the scalp, negative inside the head (about 1 mm exact)."""
        index = (np.asarray(points_mm, dtype=float) - self.map_affine[:3, 3]) / self.map_affine[0, 0]
        outside = ndimage.map_coordinates(self.maps["outside_mm"], index.T, output=np.float64, order=1, mode="nearest")
        return outside - sum(self.shells_mm)


def build_head(
    resolution_mm: float = 2.0,
    variant: HeadVariant | None = None,
    *,
    conductivity: np.ndarray = CONDUCTIVITY_S_PER_M,
    cortex_from: Literal["surfaces", "template"] = "surfaces",
    factor: int = 4,
) -> HeadModel:
    """The head at a resolution.

    Parameters
    ----------
    resolution_mm : edge of a voxel.
    variant : another head made from this one; its conductivities win.
    conductivity : (6,) S/m.
    cortex_from : what the cerebral cortex is labelled from; ``template`` is for comparisons.
    factor : sub-voxels along a voxel's edge, which say how tissue boundaries cross voxels.

    Raises
    ------
    InputError
        For a resolution outside 1-6 mm or another number of conductivities.
    """
    if not 1 <= resolution_mm <= 6:
        raise InputError(f"head.voxel_mm: found {resolution_mm:g}, accepted are 1 to 6 mm")
    conductivity = np.asarray(conductivity if variant is None else variant.conductivity, dtype=float)
    if conductivity.shape != (len(TISSUES),):
        raise InputError(f"conductivity: found shape {conductivity.shape}, accepted is ({len(TISSUES)},)")
    shells = np.array([CSF_MM, SKULL_MM, SCALP_MM])
    if variant is not None:
        shells = shells * np.array([variant.csf_factor, variant.skull_factor, 1.0])
    maps, map_affine, cortex = _template_maps(variant)
    cells = [int(extent / resolution_mm) for extent in maps["gm"].shape]
    affine = np.diag([resolution_mm, resolution_mm, resolution_mm, 1.0])
    affine[:3, 3] = map_affine[:3, 3] - 0.5 + 0.5 * resolution_mm
    grid = (affine[:3, 3] + (0.5 / factor - 0.5) * resolution_mm, resolution_mm / factor, [n * factor for n in cells])
    surfaces = cortex if cortex_from == "surfaces" else ()
    fine = label_grid(maps, map_affine, surfaces, tuple(shells), *grid)
    filled = np.argwhere(fine[::factor, ::factor, ::factor] > 0)
    low, high = np.maximum(filled.min(axis=0) - 2, 0), filled.max(axis=0) + 3
    fine = np.ascontiguousarray(fine[tuple(slice(a * factor, b * factor) for a, b in zip(low, high, strict=True))])
    affine[:3, 3] += low * resolution_mm
    labels = _majority(fine, factor)
    return HeadModel(labels, affine, conductivity, fine, factor, cortex, maps, map_affine, tuple(shells.tolist()))


def _template_maps(variant: HeadVariant | None) -> tuple[dict[str, np.ndarray], np.ndarray, tuple[Cortex, Cortex]]:
    """Maps at 1 mm with room around them, in the variant's space, and the cortex there."""
    cortex = (load_cortex("left"), load_cortex("right"))
    room = ((_MARGIN_MM, _MARGIN_MM), (_MARGIN_MM, _MARGIN_MM), (0, _MARGIN_MM))
    maps = {}
    for name in ("gm", "wm"):
        data, affine = load_template(name)
        maps[name] = np.pad(data, room)
    affine = affine.copy()
    affine[:3, 3] -= [_MARGIN_MM, _MARGIN_MM, 0]
    if variant is not None:
        cortex = tuple(warp_cortex(hemisphere, variant) for hemisphere in cortex)
        maps = warp_volumes(maps, affine, variant)
    shape = maps["gm"].shape
    pial, white = (_inside(cortex, name, affine[:3, 3], 1.0, shape) for name in ("pial", "white"))
    brain = (maps["gm"] + maps["wm"] > 0.5) | pial
    maps["outside_mm"] = _outside_distance(brain)
    maps["deep"] = _farther_than(_DEEP_MM, white) & _in_box(_NUCLEI_MM, affine, shape)
    maps["other"] = _farther_than(_OUTSIDE_MM, ~pial) & _in_box(_BELOW_MM, affine, shape)
    return maps, affine, cortex


def _inside(
    cortex: tuple[Cortex, ...], name: str, origin_mm: np.ndarray, spacing_mm: float, shape: tuple[int, int, int]
) -> np.ndarray:
    """Points of a grid inside any of the ``white`` or ``pial`` surfaces."""
    inside = np.zeros(shape, dtype=bool)
    for hemisphere in cortex:
        inside |= points_inside(getattr(hemisphere, name), hemisphere.faces, origin_mm, spacing_mm, shape)
    return inside


def _in_box(
    corners_mm: tuple[tuple[float, ...], tuple[float, ...]], affine: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Voxels of a grid within a box."""
    within = []
    for axis in range(3):
        at = np.arange(shape[axis]) * affine[axis, axis] + affine[axis, 3]
        within.append((at >= corners_mm[0][axis]) & (at <= corners_mm[1][axis]))
    return within[0][:, None, None] & within[1][None, :, None] & within[2]


def _farther_than(distance_mm: float, mask: np.ndarray) -> np.ndarray:
    """Voxels of a mask at 1 mm farther than a distance from where it ends, found at 2 mm: no boundary lies there."""
    coarse = squared_distance(mask[::2, ::2, ::2]) > (0.5 * distance_mm) ** 2
    fine = coarse.repeat(2, axis=0).repeat(2, axis=1).repeat(2, axis=2)
    return np.ascontiguousarray(fine[: mask.shape[0], : mask.shape[1], : mask.shape[2]])


def _outside_distance(brain: np.ndarray) -> np.ndarray:
    """Signed distance (float32, mm) from the closed, smoothed brain at 1 mm; negative inside.

    Closing by a ball bridges sulci and the fissure, as the inner skull does; smoothing the distance takes the voxels'
    steps out of it.
    """
    filled = np.argwhere(brain)
    low, high = filled.min(axis=0), filled.max(axis=0) + 1
    # The brain goes on below the template's lower edge, so the padding repeats it there.
    pad = [(_REACH_MM, _REACH_MM), (_REACH_MM, _REACH_MM), (0, _REACH_MM)]
    near = np.pad(brain[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], pad)
    near = np.pad(near, [(0, 0), (0, 0), (_REACH_MM, 0)], mode="edge")
    grown = squared_distance(~near) <= _CLOSING_MM**2
    closed = squared_distance(grown) > _CLOSING_MM**2
    closed = ndimage.binary_fill_holes(closed)
    distance = np.sqrt(squared_distance(~closed), dtype=np.float64).astype(np.float32)
    distance -= np.sqrt(squared_distance(closed), dtype=np.float64)
    distance -= 0.5 * np.sign(distance)
    distance = ndimage.gaussian_filter(distance, _SMOOTHING_MM)
    whole = np.full(brain.shape, 2.0 * _REACH_MM, dtype=np.float32)
    begin, end = np.maximum(low - _REACH_MM, 0), np.minimum(high + _REACH_MM, brain.shape)
    shift = begin - (low - _REACH_MM)
    part = tuple(slice(s, s + b - a) for s, a, b in zip(shift, begin, end, strict=True))
    whole[tuple(slice(a, b) for a, b in zip(begin, end, strict=True))] = distance[part]
    return whole


def label_grid(
    maps: dict[str, np.ndarray],
    map_affine: np.ndarray,
    cortex: tuple[Cortex, ...],
    shells_mm: tuple[float, float, float],
    origin_mm: np.ndarray,
    spacing_mm: float,
    shape: tuple[int, int, int],
) -> np.ndarray:
    """Tissue (nx, ny, nz) uint8 at the points of a grid.

    Parameters
    ----------
    maps, map_affine, shells_mm : of a `HeadModel`.
    cortex : hemispheres whose surfaces decide; none leaves all to the maps.
    origin_mm : (3,) first point; spacing_mm between points; shape of the grid.
    """
    shape = tuple(int(n) for n in shape)
    origin_mm = np.asarray(origin_mm, dtype=float)
    if cortex:
        pial, white = (_inside(cortex, name, origin_mm, spacing_mm, shape) for name in ("pial", "white"))
    else:
        pial = white = np.zeros((1, 1, 1), dtype=bool)
    step = spacing_mm / map_affine[0, 0]
    start = (origin_mm - map_affine[:3, 3]) / map_affine[0, 0]
    edges = np.cumsum(shells_mm)
    return _label_points(
        maps["gm"], maps["wm"], maps["outside_mm"], maps["deep"], maps["other"], pial, white, start, step, shape, edges
    )


@numba.njit(cache=True)
def _trilinear(volume, i, j, k, u, v, w):
    low = (1 - u) * volume[i, j, k] + u * volume[i + 1, j, k]
    high = (1 - u) * volume[i, j + 1, k] + u * volume[i + 1, j + 1, k]
    low_up = (1 - u) * volume[i, j, k + 1] + u * volume[i + 1, j, k + 1]
    high_up = (1 - u) * volume[i, j + 1, k + 1] + u * volume[i + 1, j + 1, k + 1]
    return (1 - w) * ((1 - v) * low + v * high) + w * ((1 - v) * low_up + v * high_up)


@numba.njit(cache=True)
def _label_points(gm, wm, outside, deep, other, pial, white, start, step, shape, edges):
    labels = np.zeros(shape, np.uint8)
    surfaces = pial.shape[0] > 1
    for x in range(shape[0]):
        for y in range(shape[1]):
            for z in range(shape[2]):
                px = min(max(start[0] + x * step, 0.0), gm.shape[0] - 1.001)
                py = min(max(start[1] + y * step, 0.0), gm.shape[1] - 1.001)
                pz = min(max(start[2] + z * step, 0.0), gm.shape[2] - 1.001)
                i, j, k = int(px), int(py), int(pz)
                u, v, w = px - i, py - j, pz - k
                distance = _trilinear(outside, i, j, k, u, v, w)
                in_pial = surfaces and pial[x, y, z]
                if distance > 0 and not in_pial:
                    if distance < edges[0]:
                        labels[x, y, z] = CSF
                    elif distance < edges[1]:
                        labels[x, y, z] = SKULL
                    elif distance < edges[2]:
                        labels[x, y, z] = SCALP
                    continue
                i, j, k = int(px + 0.5), int(py + 0.5), int(pz + 0.5)
                if surfaces:
                    in_white = white[x, y, z]
                    if in_white and not deep[i, j, k]:
                        labels[x, y, z] = WHITE
                        continue
                    if in_pial and not in_white:
                        labels[x, y, z] = GREY
                        continue
                    if not in_white and not other[i, j, k]:
                        labels[x, y, z] = CSF
                        continue
                i, j, k = int(px), int(py), int(pz)
                grey = _trilinear(gm, i, j, k, u, v, w)
                pale = _trilinear(wm, i, j, k, u, v, w)
                if grey + pale < 0.5:
                    labels[x, y, z] = CSF
                else:
                    labels[x, y, z] = WHITE if pale > grey else GREY
    return labels


@numba.njit(cache=True)
def _majority(fine, factor):
    """The tissue with most of each voxel, air included."""
    labels = np.zeros((fine.shape[0] // factor, fine.shape[1] // factor, fine.shape[2] // factor), np.uint8)
    count = np.zeros(8, np.int64)
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                count[:] = 0
                for x in range(factor):
                    for y in range(factor):
                        for z in range(factor):
                            count[fine[i * factor + x, j * factor + y, k * factor + z]] += 1
                labels[i, j, k] = np.argmax(count)
    return labels


def tissue_overlap(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """Dice coefficient of each tissue in two label grids of the same shape."""
    found = {}
    for number, name in enumerate(TISSUES[1:], start=1):
        a, b = first == number, second == number
        total = np.count_nonzero(a) + np.count_nonzero(b)
        found[name] = 2 * np.count_nonzero(a & b) / total if total else float("nan")
    return found
