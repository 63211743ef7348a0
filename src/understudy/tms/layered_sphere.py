"""Concentric spheres: the potential of surface electrodes in closed form, and the same spheres as voxels.

A coil cannot tell whether a solver handles conductivities at all, because in a sphere its field does not depend on
them; electrodes can.
"""

from __future__ import annotations

import numpy as np

from understudy.errors import InputError

RADII_MM = (74.0, 78.0, 80.0, 86.0, 92.0)
"""Outer radii of white matter, grey matter, CSF, skull and scalp (recalled: the usual 78-80-86-92 mm of four-sphere
models; the 4 mm of grey matter are an estimate)."""


def injected_potential(
    points_mm: np.ndarray,
    electrode: np.ndarray,
    current_A: float,
    radii_mm: np.ndarray,
    conductivity: np.ndarray,
    *,
    half_angle_rad: float = 0.05,
    terms: int = 200,
) -> np.ndarray:
    """Potential of a current through a cap-shaped electrode on the outermost sphere, by its Legendre series.

    Parameters
    ----------
    points_mm : (N, 3) from the spheres' centre, within the outermost.
    electrode : (3,) direction of the cap's centre.
    current_A : total current, spread evenly over the cap.
    radii_mm : (L,) outer radii from inside to outside; conductivity (L,) S/m.
    half_angle_rad : half opening angle of the cap.
    terms : degrees of the series; degree 0 is left out, so pairs of electrodes must carry opposite currents.

    Returns
    -------
    (N,) V.

    Source: separation of variables, as Rush & Driscoll 1969, IEEE Trans Biomed Eng 16:15 (recalled), with the
    admittance sigma V'/V carried from layer to layer, which stays finite at high degrees.
    """
    radii = np.asarray(radii_mm, dtype=float)
    sigma = np.asarray(conductivity, dtype=float)
    if len(radii) != len(sigma) or (np.diff(radii) <= 0).any():
        raise InputError(f"radii: found {radii.tolist()} with {len(sigma)} conductivities, accepted are rising radii")
    outer_m = 1e-3 * radii[-1]
    x = radii / radii[-1]
    distance = np.linalg.norm(points_mm, axis=1)
    place = distance / radii[-1]
    cosine = points_mm @ (electrode / np.linalg.norm(electrode)) / np.maximum(distance, 1e-12)
    layer = np.minimum(np.searchsorted(x, place), len(x) - 1)
    edge = np.cos(half_angle_rad)
    before, legendre = np.ones_like(place), cosine.copy()
    edge_before, edge_legendre = 1.0, edge
    total = np.zeros_like(place)
    for n in range(1, terms + 1):
        edge_after = ((2 * n + 1) * edge * edge_legendre - n * edge_before) / (n + 1)
        density = current_A / (4 * np.pi * outer_m**2 * (1 - edge)) * (edge_before - edge_after)
        total += _radial_part(n, place, layer, x, sigma) * density * outer_m * legendre
        before, legendre = legendre, ((2 * n + 1) * cosine * legendre - n * before) / (n + 1)
        edge_before, edge_legendre = edge_legendre, edge_after
    return total


def _radial_part(n: int, place: np.ndarray, layer: np.ndarray, x: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """a (r^n + q r^-(n+1)) of each point's layer for unit current density at r = 1."""
    # q = reflected * (inner radius of the layer)^(2n+1).
    reflected = np.zeros(len(x))
    admittance = sigma[0] * n / x[0]
    for j in range(1, len(x)):
        inner = x[j - 1]
        reflected[j] = (sigma[j] * n / inner - admittance) / (admittance + sigma[j] * (n + 1) / inner)
        back = reflected[j] * (inner / x[j]) ** (2 * n + 1)
        admittance = sigma[j] / x[j] * (n - (n + 1) * back) / (1 + back)
    amplitude = np.zeros(len(x))
    back = reflected[-1] * (x[-2] if len(x) > 1 else 0.0) ** (2 * n + 1)
    amplitude[-1] = 1 / (sigma[-1] * (n - (n + 1) * back))
    for j in range(len(x) - 2, -1, -1):
        inner = (x[j - 1] / x[j]) ** (2 * n + 1) if j > 0 else 0.0
        amplitude[j] = amplitude[j + 1] * (1 + reflected[j + 1]) / (1 + reflected[j] * inner)
    inner = np.concatenate([[0.0], x[:-1]])[layer]
    ratio = np.divide(inner, place, out=np.zeros_like(place), where=place > 0)
    return amplitude[layer] * place**n * (1 + reflected[layer] * ratio ** (2 * n + 1))


def sphere_voxels(
    spacing_mm: float, factor: int, radii_mm: np.ndarray = RADII_MM, centre_mm: np.ndarray = (0.0, 0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray]:
    """Spheres as sub-voxels.

    Parameters
    ----------
    spacing_mm : edge of a voxel; factor : sub-voxels along it.
    radii_mm : (L,) outer radii from inside (tissue 1) to outside (tissue L).
    centre_mm : of the spheres; the grid's centre is the origin.

    Returns
    -------
    fine : (n s, n s, n s) uint8 and affine (4, 4) of the voxels.
    """
    cells = 2 * int(np.ceil((max(radii_mm) + np.abs(centre_mm).max()) / spacing_mm))
    at = (np.arange(cells * factor) + 0.5) * spacing_mm / factor - 0.5 * cells * spacing_mm
    squares = [(at - c) ** 2 for c in centre_mm]
    distance2 = squares[0][:, None, None] + squares[1][None, :, None] + squares[2]
    fine = np.zeros(distance2.shape, dtype=np.uint8)
    for tissue in range(len(radii_mm), 0, -1):
        fine[distance2 < radii_mm[tissue - 1] ** 2] = tissue
    affine = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    affine[:3, 3] = 0.5 * spacing_mm - 0.5 * cells * spacing_mm
    return fine, affine


def cap_points(electrode: np.ndarray, half_angle_rad: float, radius_mm: float, count: int = 400) -> np.ndarray:
    """Points (count, 3) spread evenly over a cap of a sphere about the direction ``electrode`` (3,)."""
    axis = np.asarray(electrode, dtype=float) / np.linalg.norm(electrode)
    side = np.cross(axis, np.eye(3)[np.argmin(np.abs(axis))])
    side /= np.linalg.norm(side)
    height = 1 - (1 - np.cos(half_angle_rad)) * (np.arange(count) + 0.5) / count
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    across = np.sqrt(1 - height**2)
    return radius_mm * (
        height[:, None] * axis
        + (across * np.cos(angle))[:, None] * side
        + (across * np.sin(angle))[:, None] * np.cross(axis, side)
    )
