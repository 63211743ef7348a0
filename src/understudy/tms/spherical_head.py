"""The field of a coil in a spherical conductor, in closed form.

By reciprocity with the magnetic field of a current dipole in a sphere (Sarvas 1987, Phys Med Biol 32:11): the field
along a unit vector q at r_q is minus the rate of change of the coil's moment times the flux density of a current dipole
q. It does not depend on the conductivities of spherical shells, and has no radial component.
"""

from __future__ import annotations

import numba
import numpy as np

from understudy.errors import InputError
from understudy.tms.coils import MU0_OVER_4PI, Coil, placed


@numba.njit(cache=True, fastmath=True, error_model="numpy")
def _sphere_field(position, moment, points, out):
    """Sum over dipoles of (F (r_q x m) - (grad F . m) (r_q x r)) / F^2; everything in m from the sphere's centre.

    With a = r - r_q: F = |a| (|r| |a| + r^2 - r_q.r),
    grad F = (a^2/|r| + a.r/|a| + 2 |a| + 2 |r|) r - (|a| + 2 |r| + a.r/|a|) r_q.
    """
    for n in range(points.shape[0]):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        ex = ey = ez = 0.0
        for p in range(position.shape[1]):
            rx, ry, rz = position[0, p], position[1, p], position[2, p]
            mx, my, mz = moment[0, p], moment[1, p], moment[2, p]
            ax, ay, az = rx - x, ry - y, rz - z
            a2 = ax * ax + ay * ay + az * az
            a = np.sqrt(a2)
            r2 = rx * rx + ry * ry + rz * rz
            r = np.sqrt(r2)
            # a.r = r^2 - r_q.r
            ar = ax * rx + ay * ry + az * rz
            f = a * (r * a + ar)
            slope = ar / a
            along_r = a2 / r + slope + 2.0 * (a + r)
            along_q = a + 2.0 * r + slope
            gradient = along_r * (rx * mx + ry * my + rz * mz) - along_q * (x * mx + y * my + z * mz)
            first, second = 1.0 / f, gradient / (f * f)
            ex += first * (y * mz - z * my) - second * (y * rz - z * ry)
            ey += first * (z * mx - x * mz) - second * (z * rx - x * rz)
            ez += first * (x * my - y * mx) - second * (x * ry - y * rx)
        out[n, 0], out[n, 1], out[n, 2] = ex, ey, ez


def field(
    coil: Coil,
    pose: np.ndarray,
    centre_mm: np.ndarray,
    points_mm: np.ndarray,
    *,
    radius_mm: float | None = None,
    rate_A_per_us: float = 1.0,
) -> np.ndarray:
    """Total induced field (N, 3) in V/m in a conducting sphere.

    Parameters
    ----------
    pose : (4, 4), coil frame to head, mm.
    centre_mm : (3,) the sphere's centre.
    points_mm : (N, 3) in the sphere.
    radius_mm : the sphere's radius, with which coil and points are checked; else the farthest point's.
    rate_A_per_us : rate of change of the coil's current.

    Raises
    ------
    InputError
        If a dipole of the coil lies inside the sphere, or a point outside.
    """
    position, moment = placed(coil, pose)
    position = position - np.asarray(centre_mm, dtype=float)
    points = np.ascontiguousarray(points_mm, dtype=float).reshape(-1, 3) - np.asarray(centre_mm, dtype=float)
    reach = float(np.linalg.norm(points, axis=1).max()) if len(points) else 0.0
    radius = reach if radius_mm is None else radius_mm
    distance = np.linalg.norm(position, axis=1)
    if distance.min() <= radius:
        raise InputError(
            f"coil {coil.name}: found {int(np.sum(distance <= radius))} of its {len(distance)} dipoles inside the head "
            f"(nearest {distance.min():.1f} mm from the centre); accepted is more than the radius of {radius:.1f} mm"
        )
    if reach > radius * (1 + 1e-9):
        raise InputError(
            f"points: found one {reach:.1f} mm from the centre, accepted is at most the radius {radius:g} mm"
        )
    out = np.empty_like(points)
    _sphere_field(np.ascontiguousarray(position.T) * 1e-3, np.ascontiguousarray(moment.T), points * 1e-3, out)
    return -1e6 * rate_A_per_us * MU0_OVER_4PI * out
