"""Fibre strain: rigid rotation, simple shear, any affine map, gauges at the edge of the mesh."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.axon.brain_mesh import block_mesh, build_brain_mesh
from understudy.axon.config import Head
from understudy.axon.fibre_orientation import FibreField
from understudy.axon.fibre_strain import fibre_gauges, fibre_strain
from understudy.axon.fibre_verification import check_fibres, check_rigid_rotation, check_simple_shear, shear_strain
from understudy.axon.white_matter import white_matter_voxels


@pytest.fixture(scope="module")
def mesh():
    """8 x 8 x 8 elements of 4 mm around the origin."""
    return block_mesh((8, 8, 8), 4e-3)


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_rigid_rotation_gives_no_strain(mesh):
    rng = np.random.default_rng(0)
    gauges = fibre_gauges(mesh, rng.uniform(-15, 15, (500, 3)), unit(rng, 500))
    line = check_rigid_rotation(mesh, gauges)
    assert line["passed"] and line["tolerance"] == 1e-10
    assert abs(fibre_strain(gauges, mesh.nodes + np.array([1.0, -2.0, 3.0]))).max() < 1e-10


def test_simple_shear_follows_its_closed_form(mesh):
    rng = np.random.default_rng(1)
    line = check_simple_shear(mesh, rng.uniform(-15, 15, (361, 3)))
    assert line["passed"] and line["tolerance"] == 1e-10


def test_the_closed_form_itself():
    # At 45 degrees: lambda^2 = 1 + g + g^2 / 2; along x nothing; across, sqrt(1 + g^2).
    found = shear_strain(0.2, np.array([0.0, np.pi / 4, np.pi / 2]))
    assert np.allclose(found, [0.0, np.sqrt(1.22) - 1, np.sqrt(1.04) - 1], atol=1e-14)


def test_any_affine_map_gives_the_exact_stretch(mesh):
    rng = np.random.default_rng(2)
    gradient = np.eye(3) + rng.normal(0, 0.1, (3, 3))
    n = unit(rng, 500)
    # Centres up to and beyond the faces of the mesh (16 mm): cut and moved gauges are exact, too.
    gauges = fibre_gauges(mesh, rng.uniform(-18, 18, (500, 3)), n)
    assert gauges.shortened > 0 and gauges.moved > 0
    stretch = np.linalg.norm(n @ gradient.T, axis=1)
    assert np.abs(fibre_strain(gauges, mesh.nodes @ gradient.T) - (stretch - 1)).max() < 1e-10


def test_a_gauge_across_two_elements_sees_both(mesh):
    # Elements with x > 0 are stretched by 0.2 along x; half of the gauge lies in them.
    gauges = fibre_gauges(mesh, np.array([[0.0, 1.0, 1.0]]), np.array([[1.0, 0.0, 0.0]]))
    positions = mesh.nodes.copy()
    positions[:, 0] += 0.2 * np.maximum(positions[:, 0], 0.0)
    assert gauges.count[0] == 16
    assert fibre_strain(gauges, positions)[0] == pytest.approx(0.1, abs=1e-12)


def test_displacement_is_trilinear_inside_an_element(mesh):
    # u_x = a y z is trilinear, so the end points move exactly: compare with the map itself.
    rng = np.random.default_rng(5)
    centre, n = rng.uniform(-14, 14, (300, 3)), unit(rng, 300)
    gauges = fibre_gauges(mesh, centre, n)

    def moved(x: np.ndarray) -> np.ndarray:
        return x + np.stack([30.0 * x[:, 1] * x[:, 2], 0 * x[:, 0], 0 * x[:, 0]], axis=1)

    ends = [moved((centre + sign * n) * 1e-3) for sign in (-1.0, 1.0)]
    expected = np.linalg.norm(ends[1] - ends[0], axis=1) / 2e-3 - 1
    assert np.abs(fibre_strain(gauges, moved(mesh.nodes)) - expected).max() < 1e-10


def test_gauges_at_the_edge_are_cut_or_moved_and_counted(mesh):
    centre = np.array([[15.5, 0.5, 0.5], [15.5, 0.5, 0.5], [17.0, 0.5, 0.5], [40.0, 40.0, 40.0]])
    along = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 1.0, 0], [1.0, 0, 0]])
    gauges = fibre_gauges(mesh, centre, along)
    assert gauges.moved == 2
    assert gauges.shortened == 2
    # cut at the face at 16 mm: from 14.5 to 16
    assert gauges.length_m == pytest.approx([1.5e-3, 2e-3, 2e-3, 1.4e-3])
    assert gauges.element[3] == len(mesh.elements) - 1


def test_voxels_of_one_element_are_not_independent(mesh):
    centre = np.array([[x, y, 1.0] for x in (1.0, 3.0, 5.0) for y in (1.0, 3.0)])
    gauges = fibre_gauges(mesh, centre, np.tile([1.0, 0.0, 0.0], (6, 1)))
    assert gauges.independent_elements == 2


def test_the_whole_brain_holds_its_checks():
    mesh = build_brain_mesh(Head(element_mm=8.0))
    white_matter = white_matter_voxels(4.0, 0.38)
    rng = np.random.default_rng(6)
    n = len(white_matter.index)
    field = FibreField(unit(rng, n), np.ones(n), np.zeros(n, dtype=bool), "synthetic")
    lines = {line["name"]: line["passed"] for line in check_fibres(mesh, white_matter, field)}
    strain = [passed for name, passed in lines.items() if name.startswith("fibre strain")]
    assert strain == [True, True]
    gauges = fibre_gauges(mesh, white_matter.centre_mm, field.direction)
    assert 0 < gauges.moved < 0.1 * n, "an 8 mm mesh misses some of the outer white matter"
    assert (gauges.length_m > 1e-4).all()
