"""Cells in a field: their placement, and the quasi-potentials that drive their membranes.

The field along a cell's branches acts as the gradient of a quasi-potential: 0 at the soma, and along the tree from
parent to child the trapezoid rule of -E.dl between the compartments' centres. It needs no conservative field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np

from understudy.errors import InputError
from understudy.tms.compartments import Compartments
from understudy.tms.fields import Field, GridField, UniformField
from understudy.tms.grid_interpolation import LEAST_TISSUE, interpolate_grid

# Compartments sampled at once from fields without a kernel of their own.
_BLOCK_POINTS = 500_000
# Fields weaker than this at the soma (V/m) cannot scale a threshold.
_WEAKEST = 1e-12


@dataclass(frozen=True)
class CellPose:
    """N placements of a cell.

    Attributes
    ----------
    position : (N, 3) mm in the head, of the soma.
    normal : (N, 3) towards the pia; made unit vectors.
    azimuth_rad : (N,) turn about the cell's own axis before it is tilted.
    """

    position: np.ndarray
    normal: np.ndarray
    azimuth_rad: np.ndarray

    def __post_init__(self) -> None:
        position = np.ascontiguousarray(self.position, dtype=float)
        normal = np.ascontiguousarray(self.normal, dtype=float)
        azimuth = np.ascontiguousarray(self.azimuth_rad, dtype=float)
        if (
            position.ndim != 2
            or position.shape[1] != 3
            or normal.shape != position.shape
            or azimuth.shape != position.shape[:1]
        ):
            raise InputError(
                f"cell poses: found positions {position.shape}, normals {normal.shape}, azimuths {azimuth.shape}; "
                "accepted are (N, 3), (N, 3), (N,)"
            )
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        if not (
            np.isfinite(position).all()
            and np.isfinite(azimuth).all()
            and (length > 0).all()
            and np.isfinite(length).all()
        ):
            raise InputError(
                "cell poses: found numbers that are not finite or normals of length 0; accepted are neither"
            )
        object.__setattr__(self, "position", position)
        object.__setattr__(self, "normal", normal / length)
        object.__setattr__(self, "azimuth_rad", azimuth)

    def __len__(self) -> int:
        return len(self.position)

    def rotations(self) -> np.ndarray:
        """Rotation of each pose, (N, 3, 3), cell to head."""
        return rotations(self.normal, self.azimuth_rad)

    def part(self, which: slice | np.ndarray) -> CellPose:
        """Some of the poses."""
        return CellPose(self.position[which], self.normal[which], self.azimuth_rad[which])


class QuasiPotentials(NamedTuple):
    """What a field does to a cell in N poses.

    potential : (N, M) mV for 1 V/m at the soma; NaN where the soma lies outside the field.
    inside : (N, M) bool, compartments in tissue that the field covers. Where the field is not known, its value at the
        parent was carried on.
    centre_field : (N, 3) V/m, the field at the soma in the cell's frame.
    """

    potential: np.ndarray
    inside: np.ndarray
    centre_field: np.ndarray


def rotations(normal: np.ndarray, azimuth_rad: np.ndarray) -> np.ndarray:
    """Turns about z by the azimuth followed by the shortest rotation of z onto the normal, (N, 3, 3).

    Parameters
    ----------
    normal : (N, 3) unit vectors; a normal of exactly -z gives half a turn about x.
    azimuth_rad : (N,).
    """
    x, y, z = np.asarray(normal, dtype=float).T
    across = x * x + y * y
    # (1 - cos) / sin^2 of the tilt, in the form that does not cancel on its side of the equator.
    down = z < 0
    factor = np.where(down, (1 - z) / np.where(down & (across > 0), across, 1.0), 1 / np.where(down, 1.0, 1 + z))
    tilt = np.empty((len(x), 3, 3))
    tilt[:, 0, 0], tilt[:, 0, 1], tilt[:, 0, 2] = 1 - x * x * factor, -x * y * factor, x
    tilt[:, 1, 0], tilt[:, 1, 1], tilt[:, 1, 2] = -x * y * factor, 1 - y * y * factor, y
    tilt[:, 2, 0], tilt[:, 2, 1], tilt[:, 2, 2] = -x, -y, z
    tilt[down & (across == 0)] = np.diag([1.0, -1.0, -1.0])
    cosine, sine = np.cos(azimuth_rad), np.sin(azimuth_rad)
    turned = np.empty_like(tilt)
    turned[:, :, 0] = tilt[:, :, 0] * cosine[:, None] + tilt[:, :, 1] * sine[:, None]
    turned[:, :, 1] = tilt[:, :, 1] * cosine[:, None] - tilt[:, :, 0] * sine[:, None]
    turned[:, :, 2] = tilt[:, :, 2]
    return turned


def compartment_positions(compartments: Compartments, poses: CellPose) -> np.ndarray:
    """Centres of all compartments in the head, (N, M, 3) mm."""
    turned = np.einsum("nij,mj->nmi", poses.rotations(), compartments.centre)
    return poses.position[:, None] + 1e-3 * turned


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _integrate(value, weight, parent, centre, r, here, potential, centre_field):
    """Potentials of one pose from the field (M, >= 3) over its weight (M,), 0 or less where it is not known.

    ``r`` (3, 3) turns the cell into the head; ``here`` (M, 3) is working space.
    """
    scale = np.nan
    for m in range(parent.shape[0]):
        p = np.uintp(parent[m])
        if weight[m] > LEAST_TISSUE:
            share = 1.0 / weight[m]
            a, b, c = share * value[m, 0], share * value[m, 1], share * value[m, 2]
            x = r[0, 0] * a + r[1, 0] * b + r[2, 0] * c
            y = r[0, 1] * a + r[1, 1] * b + r[2, 1] * c
            z = r[0, 2] * a + r[1, 2] * b + r[2, 2] * c
        elif m == 0:
            x = y = z = np.nan
        else:
            x, y, z = here[p, 0], here[p, 1], here[p, 2]
        here[m, 0], here[m, 1], here[m, 2] = x, y, z
        if m == 0:
            size = np.sqrt(x * x + y * y + z * z)
            scale = -0.5e-3 / size if size > _WEAKEST else np.nan
            centre_field[0], centre_field[1], centre_field[2] = x, y, z
            potential[0] = 0.0 * scale
        else:
            potential[m] = potential[p] + scale * (
                (here[p, 0] + x) * (centre[m, 0] - centre[p, 0])
                + (here[p, 1] + y) * (centre[m, 1] - centre[p, 1])
                + (here[p, 2] + z) * (centre[m, 2] - centre[p, 2])
            )


@numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
def _grid_potentials(nodes, shape, to_index, parent, centre, position, rotation, potential, inside, centre_field):
    """Rotate, interpolate and integrate along the tree, pose by pose."""
    here = np.empty((parent.shape[0], 3))
    flat = np.empty(4 * parent.shape[0], nodes.dtype)
    sums = flat.reshape(parent.shape[0], 4)
    g = np.empty((3, 4))
    for n in range(position.shape[0]):
        r = rotation[n]
        for a in range(3):
            g[a, 3] = to_index[a, 3]
            for b in range(3):
                g[a, 3] += to_index[a, b] * position[n, b]
                # From um in the cell to voxels.
                g[a, b] = 1e-3 * (to_index[a, 0] * r[0, b] + to_index[a, 1] * r[1, b] + to_index[a, 2] * r[2, b])
        interpolate_grid(nodes, shape, g, centre, flat, inside[n])
        _integrate(sums, sums[:, 3], parent, centre, r, here, potential[n], centre_field[n])


@numba.njit(cache=True, error_model="numpy")
def _sampled_potentials(sampled, parent, centre, rotation, potential, centre_field):
    """Integrate sampled values (N, M, 3), NaN where not known, along the tree."""
    here = np.empty((parent.shape[0], 3))
    weight = np.empty(parent.shape[0])
    for n in range(sampled.shape[0]):
        for m in range(parent.shape[0]):
            weight[m] = 1.0 if np.isfinite(sampled[n, m, 0] + sampled[n, m, 1] + sampled[n, m, 2]) else 0.0
        _integrate(sampled[n], weight, parent, centre, rotation[n], here, potential[n], centre_field[n])


def quasi_potentials(
    field: Field, compartments: Compartments, poses: CellPose, *, dtype: type = np.float64
) -> QuasiPotentials:
    """Quasi-potentials of a cell in N poses, for a field of 1 V/m at the soma.

    An amplitude that multiplies ``potential`` is then the field's magnitude at the soma in V/m. For a uniform field the
    result is -1e-3 E.r / |E| (mV; E in V/m, r in um).

    Parameters
    ----------
    field : any field of `understudy.tms.fields`; grids have a kernel of their own.
    dtype : of the potentials; float32 halves the memory.
    """
    number, size = len(poses), len(compartments)
    parent = np.ascontiguousarray(compartments.parent, dtype=np.int64)
    centre = np.ascontiguousarray(compartments.centre, dtype=float)
    rotation = poses.rotations()
    potential, inside = np.empty((number, size), dtype=dtype), np.ones((number, size), dtype=bool)
    centre_field = np.empty((number, 3))
    if isinstance(field, UniformField):
        np.matmul(np.asarray(field.vector, dtype=float), rotation, out=centre_field)
        strength = np.linalg.norm(centre_field, axis=1, keepdims=True)
        direction = centre_field / np.where(strength > _WEAKEST, strength, np.nan)
        potential[:] = -1e-3 * direction @ (centre - centre[0]).T
    elif isinstance(field, GridField):
        _grid_potentials(
            field.nodes,
            field.tissue.shape,
            field.to_index,
            parent,
            centre,
            poses.position,
            rotation,
            potential,
            inside,
            centre_field,
        )
    else:
        block = max(1, _BLOCK_POINTS // size)
        for start in range(0, number, block):
            some = slice(start, min(start + block, number))
            points = compartment_positions(compartments, poses.part(some)).reshape(-1, 3)
            value, within = field.sample(points)
            inside[some] = within.reshape(-1, size)
            _sampled_potentials(
                value.reshape(-1, size, 3), parent, centre, rotation[some], potential[some], centre_field[some]
            )
    return QuasiPotentials(potential, inside, centre_field)


def cell_frame_samples(field: Field, offsets_um: np.ndarray, poses: CellPose) -> tuple[np.ndarray, np.ndarray]:
    """The field at the same places of each cell, in the cell's frame: (N, G, 3) V/m and inside (N, G) bool.

    Parameters
    ----------
    offsets_um : (G, 3) places in the cell's frame, such as a cube around the soma.
    """
    rotation = poses.rotations()
    offsets = np.asarray(offsets_um, dtype=float)
    points = poses.position[:, None] + 1e-3 * np.einsum("nij,gj->ngi", rotation, offsets)
    value, inside = field.sample(points.reshape(-1, 3))
    turned = np.einsum("nij,ngi->ngj", rotation, value.reshape(len(poses), -1, 3))
    return turned, inside.reshape(len(poses), -1)
