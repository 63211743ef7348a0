"""The induced field against closed forms: a dipole, wires by Biot-Savart, Maxwell's equations in the sphere."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ellipe, ellipk

from understudy.tms import spherical_head
from understudy.tms.coils import (
    MU0_OVER_4PI,
    Coil,
    Wing,
    figure_of_eight,
    flux_density,
    magstim_70mm,
    magventure_mcb70,
    primary_field,
    vector_potential,
)

POSE = np.array([[0.8, -0.6, 0, 5.0], [0.6, 0.8, 0, -7], [0, 0, 1, 88], [0, 0, 0, 1]])


def derivatives(function, points: np.ndarray, step_mm: float = 1.0) -> np.ndarray:
    """d f_i / d x_j (N, 3, 3) per m by sixth-order central differences."""
    result = np.zeros((len(points), 3, 3))
    for axis in range(3):
        for distance, weight in ((1, 45 / 60), (2, -9 / 60), (3, 1 / 60)):
            shift = np.zeros(3)
            shift[axis] = distance * step_mm
            result[:, :, axis] += weight * (function(points + shift) - function(points - shift)) / (1e-3 * step_mm)
    return result


def curl(gradient: np.ndarray) -> np.ndarray:
    return np.stack(
        [gradient[:, (i + 2) % 3, (i + 1) % 3] - gradient[:, (i + 1) % 3, (i + 2) % 3] for i in range(3)], 1
    )


def inner_points(number: int = 40, radius_mm: float = 60.0) -> np.ndarray:
    rng = np.random.default_rng(3)
    points = rng.normal(size=(number, 3))
    return points * (radius_mm * rng.uniform(0.3, 1, (number, 1)) / np.linalg.norm(points, axis=1, keepdims=True))


def test_dipole():
    """A = mu0/(4 pi) m x r / r^3, B = mu0/(4 pi) (3 (m.r) r / r^5 - m / r^3); rounding only."""
    moment, place = np.array([0.3, -0.2, 0.9]), np.array([0.01, 0.02, -0.03])
    coil = Coil("dipole", place[None], moment[None])
    points = inner_points()
    r = 1e-3 * (points - POSE[:3, 3]) - POSE[:3, :3] @ place
    m = POSE[:3, :3] @ moment
    size = np.linalg.norm(r, axis=1, keepdims=True)
    np.testing.assert_allclose(
        vector_potential(coil, POSE, points), MU0_OVER_4PI * np.cross(m, r) / size**3, rtol=1e-12
    )
    expected = MU0_OVER_4PI * (3 * (r @ m)[:, None] * r / size**5 - m / size**3)
    np.testing.assert_allclose(
        flux_density(coil, POSE, points), expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max()
    )


def test_loop_of_wire():
    """One turn of 35 mm against the elliptic integrals; a sheet of dipoles 2 mm apart is within 0.1 % 10 mm below."""
    loop = figure_of_eight("loop", (Wing(1e-9, (35.0,), (0.0,), sense=1),), spacing_mm=2.0)
    rho = np.array([10.0, 20, 30, 40, 60]) * 1e-3
    z, a = 0.012, 0.035
    k2 = 4 * a * rho / ((a + rho) ** 2 + z * z)
    expected = 4 * MU0_OVER_4PI / np.sqrt(k2) * np.sqrt(a / rho) * ((1 - k2 / 2) * ellipk(k2) - ellipe(k2))
    points = np.stack([rho * 1e3, 0 * rho, np.full(5, -12.0)], 1)
    found = vector_potential(loop, np.eye(4), points)
    np.testing.assert_allclose(found[:, 1], expected, rtol=1e-3)
    assert np.abs(found[:, [0, 2]]).max() < 1e-3 * expected.max()


@pytest.mark.parametrize("name", ["magstim_70mm", "magventure_mcb70"])
def test_coils_against_their_wires(name):
    """Biot-Savart along the turns; the default dipoles are within 0.4 % of the largest value 15 mm below the casing."""
    if name == "magstim_70mm":
        coil, layers = magstim_70mm(), 6.5
        wings = [
            (s * 45.0, np.linspace(28.875, 42.625, 9), (layers - 3**0.5, layers + 3**0.5), s, 1e9, 0.0) for s in (1, -1)
        ]
    else:
        coil = magventure_mcb70()
        radii = np.arange(16.0, 53, 4)
        wings = [(30.0, radii, (3.5, 5.5), 1, 25.0, 16.0), (-30.0, radii, (7.5, 9.5), -1, 20.0, 18.5)]
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-60, 61, 15.0), np.arange(-60, 61, 15.0)))
    points = np.stack([x, y, -15 - 0.3 * np.abs(x)], 1)
    expected = np.zeros_like(points)
    angle = np.linspace(0, 2 * np.pi, 721)
    for centre, radii, heights, sense, bend_from, bend in wings:
        for radius in radii:
            for height in heights:
                wire = np.stack([centre + radius * np.cos(angle), radius * np.sin(angle), np.full(721, height)], 1)
                side = np.sign(centre)
                past = np.maximum(side * wire[:, 0] - bend_from, 0)
                wire[:, 0] -= side * past * (1 - np.cos(np.radians(bend)))
                wire[:, 2] -= past * np.sin(np.radians(bend))
                piece, middle = np.diff(wire, axis=0), 0.5 * (wire[1:] + wire[:-1])
                distance = np.linalg.norm(points[:, None] - middle, axis=2)
                expected += sense * MU0_OVER_4PI / len(heights) * (piece / distance[..., None]).sum(axis=1)
    found = vector_potential(coil, np.eye(4), points)
    assert np.abs(found - expected).max() < 4e-3 * np.abs(expected).max()


@pytest.mark.parametrize("coil", [magstim_70mm(), magventure_mcb70()], ids=lambda coil: coil.name)
def test_sphere_obeys_its_equations(coil):
    """No radial field; curl E = -dB/dt and div E = 0, each to 1e-6 of the size of dB/dt."""
    centre = np.array([1.0, -2, 3])
    points = centre + inner_points()

    def field(places):
        return spherical_head.field(coil, POSE, centre, places)

    e = field(points)
    radial = np.einsum("ni,ni->n", e, points - centre) / np.linalg.norm(points - centre, axis=1)
    assert np.abs(radial).max() < 1e-12 * np.abs(e).max()
    gradient = derivatives(field, points)
    rate = 1e6 * flux_density(coil, POSE, points)
    assert np.abs(curl(gradient) + rate).max() < 1e-6 * np.abs(rate).max()
    assert np.abs(np.trace(gradient, axis1=1, axis2=2)).max() < 1e-6 * np.abs(rate).max()


def test_primary_field_has_the_same_curl():
    coil = magstim_70mm()
    points = inner_points()
    gradient = derivatives(lambda places: primary_field(coil, POSE, places), points)
    rate = 1e6 * flux_density(coil, POSE, points)
    assert np.abs(curl(gradient) + rate).max() < 1e-6 * np.abs(rate).max()


def test_rate_scales_the_field():
    coil = magstim_70mm()
    points = inner_points()
    one = spherical_head.field(coil, POSE, np.zeros(3), points)
    np.testing.assert_allclose(
        spherical_head.field(coil, POSE, np.zeros(3), points, rate_A_per_us=-70.0), -70 * one, rtol=1e-12
    )
