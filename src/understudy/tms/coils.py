"""Stimulation coils as magnetic dipoles, and the field that they induce in free space.

A turn of wire with current I has the field of a sheet of dipoles of density I over the surface that it spans; the
sheets of all turns are gathered in squares of one dipole each.

The coil's frame: the casing's side at the head lies in the plane z = 0, z points away from the head, y away from the
handle. A current that rises in the coil's positive direction induces a field along +y below its centre: with the handle
towards the back that is posterior to anterior in the brain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numba
import numpy as np

from understudy.errors import InputError

MU0_OVER_4PI = 1e-7
"""V s/(A m)."""

# Distance between neighbouring dipoles, and how many fine ones stand in a row between them while they are made.
_DIPOLE_SPACING_MM = 4.0
_FINE_DIPOLES = 8


@dataclass(frozen=True)
class Coil:
    """P dipoles in the coil's frame.

    Attributes
    ----------
    name : for tables and files.
    position : (P, 3) m.
    moment : (P, 3) A m2 per A of coil current.
    """

    name: str
    position: np.ndarray
    moment: np.ndarray


@dataclass(frozen=True)
class Wing:
    """One of the two windings of a figure-of-eight coil.

    Attributes
    ----------
    centre_mm : x of its centre, along the unbent coil.
    radius_mm : of each turn's middle.
    layer_mm : z of the layers into which the winding's height is cut; each carries an equal share of the current.
    bend_from_mm, bend_deg : from this |x| outwards the wing is bent towards the head by this angle.
    sense : +1 if the current circulates counterclockwise seen from above (moment +z), -1 if clockwise.
    """

    centre_mm: float
    radius_mm: tuple[float, ...]
    layer_mm: tuple[float, ...]
    sense: int
    bend_from_mm: float = 0.0
    bend_deg: float = 0.0


def wing_dipoles(wing: Wing, spacing_mm: float = _DIPOLE_SPACING_MM) -> tuple[np.ndarray, np.ndarray]:
    """Dipoles of a winding: positions (P, 3) m and moments (P, 3) m2 (A m2 per A).

    Between two turns the density of dipoles is the number of turns further out. Rings of fine dipoles, each of the
    radius that keeps the second moment of its area, are gathered in squares of ``spacing_mm``: one dipole at their
    centre of gravity, so that the first moment of the density is kept as well.
    """
    edges = np.concatenate([[0.0], np.sort(np.asarray(wing.radius_mm, dtype=float))])
    fine = spacing_mm / _FINE_DIPOLES
    rings = []
    for turn, (inner, outer) in enumerate(pairwise(edges)):
        density = len(wing.radius_mm) - turn
        bounds = np.linspace(inner, outer, max(1, math.ceil((outer - inner) / fine)) + 1)
        for a, b in pairwise(bounds):
            radius = math.sqrt(0.5 * (a * a + b * b))
            count = 4 * max(2, math.ceil(0.5 * math.pi * radius / fine))
            angle = 2 * math.pi * (np.arange(count) + 0.5) / count
            weight = np.full(
                count, wing.sense * density * math.pi * (b * b - a * a) * 1e-6 / (count * len(wing.layer_mm))
            )
            rings.append(np.stack([radius * np.cos(angle), radius * np.sin(angle), weight], axis=1))
    flat = np.concatenate(rings)
    side = math.copysign(1.0, wing.centre_mm)
    # Distance from the line of the bend, so that no square lies across it.
    from_bend = side * (wing.centre_mm + flat[:, 0]) - wing.bend_from_mm
    cells = np.stack([np.floor(from_bend / spacing_mm), np.floor(flat[:, 1] / spacing_mm)], axis=1)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    cell = cell.ravel()
    weight = np.bincount(cell, flat[:, 2])
    x, y = (np.bincount(cell, flat[:, 2] * flat[:, axis]) / weight for axis in (0, 1))
    position = np.concatenate(
        [np.stack([wing.centre_mm + x, y, np.full(len(x), layer)], axis=1) for layer in wing.layer_mm]
    )
    moment = np.zeros_like(position)
    moment[:, 2] = np.tile(weight, len(wing.layer_mm))
    return _bent(position, moment, wing)


def _bent(position_mm: np.ndarray, moment: np.ndarray, wing: Wing) -> tuple[np.ndarray, np.ndarray]:
    """Fold the part beyond ``bend_from_mm`` towards the head (-z) and give positions in m."""
    position, moment = position_mm.copy(), moment.copy()
    side = math.copysign(1.0, wing.centre_mm)
    past = side * position[:, 0] - wing.bend_from_mm
    folded = (past > 0) & (wing.bend_deg != 0)
    sine, cosine = math.sin(math.radians(wing.bend_deg)), math.cos(math.radians(wing.bend_deg))
    position[folded, 0] = side * (wing.bend_from_mm + past[folded] * cosine)
    position[folded, 2] -= past[folded] * sine
    strength = moment[folded, 2]
    moment[folded, 0], moment[folded, 2] = side * strength * sine, strength * cosine
    return position * 1e-3, moment


def figure_of_eight(name: str, wings: tuple[Wing, ...], spacing_mm: float = _DIPOLE_SPACING_MM) -> Coil:
    """A coil of several windings."""
    parts = [wing_dipoles(wing, spacing_mm) for wing in wings]
    return Coil(name, np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))


def magstim_70mm(spacing_mm: float = _DIPOLE_SPACING_MM) -> Coil:
    """Magstim 70 mm double coil: nine turns per wing in one flat layer.

    Found (coil tables of the Martinos Center's boundary-element toolkit): inner diameter 56 mm, outer 87 mm, nine turns
    of wire 1.75 x 6 mm, wing centres 45 mm from the middle, 15.5 uH. Found (published dipole file after X-ray pictures,
    Thielscher & Kammer 2004): turns at 28 to 44 mm, wing centres 45 mm, winding 7 mm high above 3 mm of casing; its
    moment is 1.9 % larger than this one's.
    """
    radius = tuple(np.linspace(28.0 + 0.875, 43.5 - 0.875, 9))
    # Two layers with the second moment of a 6 mm high wire: middle -+ 6 / sqrt(12) mm; the middle is 6.5 mm above.
    layers = (6.5 - 6 / math.sqrt(12), 6.5 + 6 / math.sqrt(12))
    wings = tuple(Wing(side * 45.0, radius, layers, sense=side) for side in (1, -1))
    return figure_of_eight("magstim_70mm", wings, spacing_mm)


def magventure_mcb70(spacing_mm: float = _DIPOLE_SPACING_MM) -> Coil:
    """MagVenture (Medtronic) MC-B70: two bent wings of ten turns that overlap in the middle, one above the other.

    Found (read off the published dipole file after X-ray pictures, Thielscher & Kammer 2004): ten turns per wing at 16
    to 52 mm in steps of 4 mm, wing centres 30 mm from the middle, each winding 4 mm high; the lower one (+x) starts
    2.5 mm above the casing's side and is bent by 16 degrees from 25 mm outwards, the upper one (-x) lies 4 mm higher
    and is bent by 18.5 degrees from 20 mm outwards.
    """
    radius = tuple(float(r) for r in range(16, 53, 4))
    lower = Wing(30.0, radius, (3.5, 5.5), sense=1, bend_from_mm=25.0, bend_deg=16.0)
    upper = Wing(-30.0, radius, (7.5, 9.5), sense=-1, bend_from_mm=20.0, bend_deg=18.5)
    return figure_of_eight("magventure_mcb70", (lower, upper), spacing_mm)


def standard_coils() -> dict[str, Coil]:
    """The coils of the study by name."""
    return {coil.name: coil for coil in (magventure_mcb70(), magstim_70mm())}


def read_ccd(path: str | Path) -> Coil:
    """A coil from a SimNIBS dipole file (``.ccd``).

    Text: lines that start with # are comments, then the number of dipoles, then a line of six numbers for each:
    position in m and moment in A m2 per A. In such files z points towards the head and y along the handle; the coil is
    turned by half a turn about x into the frame of this module.

    Raises
    ------
    InputError
        If the file is missing, no such text, has other than the promised number of dipoles, or positions in mm.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}") from None
    rows = [(number, line.split()) for number, line in enumerate(lines, start=1)]
    rows = [(number, words) for number, words in rows if words and not words[0].startswith("#")]
    if not rows or len(rows[0][1]) != 1 or not rows[0][1][0].isdigit():
        raise InputError(f"{path}: found no number of dipoles; accepted is a coil file (.ccd) of magnetic dipoles")
    promised = int(rows[0][1][0])
    values = np.empty((len(rows) - 1, 6))
    for index, (number, words) in enumerate(rows[1:]):
        try:
            values[index] = [float(word) for word in words]
        except ValueError:
            raise InputError(
                f"{path}: line {number}: found {' '.join(words)!r}, accepted are six numbers: position (m) and moment"
            ) from None
    if len(values) != promised or promised == 0:
        raise InputError(f"{path}: found {len(values)} dipoles, accepted are the {promised} that the file promises")
    if not np.isfinite(values).all():
        raise InputError(f"{path}: found a number that is not finite, accepted are finite positions and moments")
    extent = np.abs(values[:, :3]).max()
    if extent > 1.0:
        raise InputError(f"{path}: found positions up to {extent:g}, accepted are m (below 1); are they in mm?")
    turned = np.array([1.0, -1.0, -1.0])
    return Coil(path.stem, values[:, :3] * turned, values[:, 3:] * turned)


def checked_pose(pose: np.ndarray) -> np.ndarray:
    """A coil's placement (4, 4): coil frame (mm) to head (mm), a rotation and a translation.

    Raises
    ------
    InputError
        If it is no such matrix; a mirrored or scaled coil is none.
    """
    pose = np.asarray(pose, dtype=float)
    if pose.shape != (4, 4) or not np.isfinite(pose).all() or np.any(pose[3] != (0, 0, 0, 1)):
        raise InputError(f"coil pose: found {pose.tolist()}, accepted is a (4, 4) matrix with the last row 0 0 0 1")
    rotation = pose[:3, :3]
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-6 or np.linalg.det(rotation) < 0:
        raise InputError(
            f"coil pose: found axes {rotation.tolist()}, accepted is a rotation (no scale, no mirror image)"
        )
    return pose


def placed(coil: Coil, pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dipoles of a placed coil: positions (P, 3) in head mm and moments (P, 3) A m2 per A."""
    pose = checked_pose(pose)
    return coil.position * 1e3 @ pose[:3, :3].T + pose[:3, 3], coil.moment @ pose[:3, :3].T


def require_outside(coil: Coil, pose: np.ndarray, inside_head: np.ndarray, affine: np.ndarray) -> None:
    """Refuse a coil inside the head.

    Parameters
    ----------
    inside_head : (nx, ny, nz) bool, True (or a tissue's label) in the head.
    affine : (4, 4) voxel index to head mm.

    Raises
    ------
    InputError
        Naming how many dipoles lie in the head.
    """
    position, _ = placed(coil, pose)
    inverse = np.linalg.inv(affine)
    index = np.rint(position @ inverse[:3, :3].T + inverse[:3, 3]).astype(np.int64)
    within = ((index >= 0) & (index < inside_head.shape)).all(axis=1)
    found = int(np.count_nonzero(inside_head[tuple(index[within].T)]))
    if found:
        raise InputError(
            f"coil {coil.name}: found {found} of its {len(position)} dipoles inside the head; accepted is a "
            "coil outside: move it along its axis, away from the scalp"
        )


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def _dipole_potential(position, moment, points, out):
    """Sum of m x r / r^3 over the dipoles; m and A m2. ``position`` and ``moment`` are (3, P): unit stride."""
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        ax = ay = az = 0.0
        for p in range(position.shape[1]):
            rx, ry, rz = x - position[0, p], y - position[1, p], z - position[2, p]
            square = rx * rx + ry * ry + rz * rz
            weight = 1.0 / (square * np.sqrt(square))
            ax += weight * (moment[1, p] * rz - moment[2, p] * ry)
            ay += weight * (moment[2, p] * rx - moment[0, p] * rz)
            az += weight * (moment[0, p] * ry - moment[1, p] * rx)
        out[n, 0], out[n, 1], out[n, 2] = ax, ay, az


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def _dipole_flux(position, moment, points, out):
    """Sum of 3 (m.r) r / r^5 - m / r^3 over the dipoles, as `_dipole_potential`."""
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        bx = by = bz = 0.0
        for p in range(position.shape[1]):
            rx, ry, rz = x - position[0, p], y - position[1, p], z - position[2, p]
            square = rx * rx + ry * ry + rz * rz
            weight = 1.0 / (square * np.sqrt(square))
            along = 3.0 * (moment[0, p] * rx + moment[1, p] * ry + moment[2, p] * rz) / square
            bx += weight * (along * rx - moment[0, p])
            by += weight * (along * ry - moment[1, p])
            bz += weight * (along * rz - moment[2, p])
        out[n, 0], out[n, 1], out[n, 2] = bx, by, bz


def _summed(kernel, coil: Coil, pose: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    position, moment = placed(coil, pose)
    points = np.ascontiguousarray(points_mm, dtype=float).reshape(-1, 3) * 1e-3
    out = np.empty_like(points)
    kernel(np.ascontiguousarray(position.T) * 1e-3, np.ascontiguousarray(moment.T), points, out)
    return MU0_OVER_4PI * out


def vector_potential(coil: Coil, pose: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Magnetic vector potential (N, 3) in V s/m per A of coil current: A = mu0/(4 pi) sum m x r / r^3.

    Parameters
    ----------
    pose : (4, 4), coil frame to head, mm.
    points_mm : (N, 3) in the head.
    """
    return _summed(_dipole_potential, coil, pose, points_mm)


def flux_density(coil: Coil, pose: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Magnetic flux density (N, 3) in T per A of coil current."""
    return _summed(_dipole_flux, coil, pose, points_mm)


def primary_field(coil: Coil, pose: np.ndarray, points_mm: np.ndarray, rate_A_per_us: float = 1.0) -> np.ndarray:
    """Primary electric field E = -dA/dt (N, 3) in V/m while the coil's current rises by ``rate_A_per_us``."""
    return -1e6 * rate_A_per_us * vector_potential(coil, pose, points_mm)
