"""Cells in fields: placement, quasi-potentials, and one field by three ways."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.spatial import Delaunay

from understudy.errors import InputError
from understudy.tms.compartments import Compartments
from understudy.tms.field_sampling import (
    CellPose,
    cell_frame_samples,
    compartment_positions,
    quasi_potentials,
    rotations,
)
from understudy.tms.field_volumes import read_mesh_field, read_vector_volume, write_vector_volume
from understudy.tms.fields import GridField, UniformField
from understudy.tms.gmsh_file import Mesh
from understudy.tms.gmsh_writing import write_mesh
from understudy.tms.mesh_field import MeshField


def tree(parent: np.ndarray, centre: np.ndarray) -> Compartments:
    """Compartments with a place in the tree and nothing else."""
    fields = {field.name: np.zeros(len(parent)) for field in dataclasses.fields(Compartments)}
    fields |= {"cell": "tree", "cell_type": "L5_TTPC", "parent": parent.astype(np.int32), "centre": centre}
    return Compartments(**fields)


def random_cell(number: int = 200, seed: int = 1) -> Compartments:
    rng = np.random.default_rng(seed)
    parent = np.array([-1, *(rng.integers(max(0, i - 30), i) for i in range(1, number))])
    centre = np.zeros((number, 3))
    for i in range(1, number):
        centre[i] = centre[parent[i]] + rng.normal(size=3) * 20
    return tree(parent, centre)


def random_poses(number: int = 25, extent_mm: float = 3.0, seed: int = 2) -> CellPose:
    rng = np.random.default_rng(seed)
    return CellPose(
        rng.uniform(-extent_mm, extent_mm, (number, 3)), rng.normal(size=(number, 3)), rng.uniform(0, 2 * np.pi, number)
    )


CELL, POSES = random_cell(), random_poses()


class Analytic:
    """A field given by a formula."""

    def __init__(self, formula):
        self.formula = formula

    def sample(self, points_mm):
        return self.formula(points_mm), np.ones(len(points_mm), dtype=bool)


def test_rotations_are_proper_and_reach_the_normal():
    rng = np.random.default_rng(3)
    normal = rng.normal(size=(500, 3))
    # The two poles, and normals all but opposite to z, where the textbook formula loses its digits.
    normal[:5] = [[0, 0, -1], [0, 0, 1], [1e-9, 0, -1], [3e-17, -2e-17, -1], [1e-200, 0, -1]]
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    azimuth = rng.uniform(-7, 7, 500)
    matrix = rotations(normal, azimuth)
    identity = np.einsum("nij,nkj->nik", matrix, matrix)
    np.testing.assert_allclose(identity, np.broadcast_to(np.eye(3), identity.shape), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(matrix), 1.0, atol=1e-14)
    np.testing.assert_allclose(matrix[:, :, 2], normal, atol=1e-15)


def test_antiparallel_normal_is_half_a_turn():
    np.testing.assert_array_equal(rotations(np.array([[0, 0, -1.0]]), np.zeros(1))[0], np.diag([1.0, -1, -1]))


def test_azimuth_turns_the_cell_before_it_is_tilted():
    quarter = rotations(np.array([[0, 0, 1.0], [1, 0, 0]]), np.full(2, np.pi / 2))
    np.testing.assert_allclose(quarter[0] @ [1, 0, 0], [0, 1, 0], atol=1e-15)
    # z onto x takes y to itself: the cell's x axis, turned to y, stays there.
    np.testing.assert_allclose(quarter[1] @ [1, 0, 0], [0, 1, 0], atol=1e-15)


def test_bad_poses():
    with pytest.raises(InputError, match="normals of length 0"):
        CellPose(np.zeros((1, 3)), np.zeros((1, 3)), np.zeros(1))
    with pytest.raises(InputError, match=r"accepted are \(N, 3\)"):
        CellPose(np.zeros((2, 3)), np.ones((1, 3)), np.zeros(1))
    with pytest.raises(InputError, match="not finite"):
        CellPose(np.full((1, 3), np.nan), np.ones((1, 3)), np.zeros(1))


@pytest.mark.parametrize("way", ["uniform", "grid", "analytic"])
def test_uniform_field_is_exact(way):
    """-1e-3 E.r in the cell's frame, per V/m at the soma."""
    vector = np.array([30.0, -120, 75])
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = -8
    field = {
        "uniform": UniformField(vector),
        "grid": GridField(np.broadcast_to(vector, (9, 9, 9, 3)).copy(), affine),
        "analytic": Analytic(lambda points: np.tile(vector, (len(points), 1))),
    }
    result = quasi_potentials(field[way], CELL, POSES)
    own = np.einsum("nij,i->nj", POSES.rotations(), vector)
    np.testing.assert_allclose(result.centre_field, own, rtol=1e-12)
    expected = -1e-3 * (own / np.linalg.norm(vector)) @ CELL.centre.T
    np.testing.assert_allclose(result.potential, expected, atol=1e-13)
    assert result.inside.all()
    assert quasi_potentials(field[way], CELL, POSES, dtype=np.float32).potential.dtype == np.float32


def box_mesh(path, vector, seed=6):
    """Random tetrahedra that fill a box of 12 mm, with one vector everywhere."""
    rng = np.random.default_rng(seed)
    corners = 6 * np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=float)
    nodes = np.concatenate([corners, rng.uniform(-6, 6, (150, 3))])
    tetrahedra = Delaunay(nodes).simplices.astype(np.int32)
    number = len(tetrahedra)
    empty = np.zeros((0, 3), np.int32)
    value = np.tile(vector, (number, 1))
    tags = np.ones(number, np.int32)
    write_mesh(path, Mesh(nodes, tetrahedra, empty, tags, np.zeros(0, np.int32), {}, {"E": value}, {}))


@pytest.mark.parametrize("smooth", [True, False])
def test_one_field_by_three_ways(tmp_path, smooth):
    """Formula, NIfTI file and mesh file agree to 1e-6 of the largest potential, with cells turned and moved."""
    vector = np.array([0.3, -1.2, 0.75])
    affine = np.diag([-0.7, 0.8, 0.9, 1])
    affine[:3, 3] = (6, -6, -6)
    write_vector_volume(tmp_path / "e.nii.gz", GridField(np.broadcast_to(vector, (18, 16, 14, 3)).copy(), affine))
    box_mesh(tmp_path / "e.msh", vector)
    reference = quasi_potentials(UniformField(vector), CELL, POSES)
    scale = np.abs(reference.potential).max()
    for field in (read_vector_volume(tmp_path / "e.nii.gz"), read_mesh_field(tmp_path / "e.msh", smooth=smooth)):
        found = quasi_potentials(field, CELL, POSES)
        assert found.inside.all()
        assert np.abs(found.potential - reference.potential).max() < 1e-6 * scale
        assert np.abs(found.centre_field - reference.centre_field).max() < 1e-6 * np.linalg.norm(vector)


def test_linear_fields_are_sampled_exactly(tmp_path):
    rng = np.random.default_rng(7)
    offset, slope = rng.normal(size=3), rng.normal(size=(3, 3))

    def linear(points):
        return offset + points @ slope.T

    axes = np.meshgrid(np.arange(8.0), np.arange(9.0), np.arange(7.0), indexing="ij")
    affine = np.eye(4)
    affine[:3] = rng.normal(size=(3, 4))
    places = np.stack(axes, -1) @ affine[:3, :3].T + affine[:3, 3]
    index = rng.uniform(0, 6, (300, 3))
    points = index @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(GridField(linear(places), affine).sample(points)[0], linear(points), rtol=0, atol=1e-12)
    nodes = np.concatenate([rng.uniform(-5, 5, (200, 3)), 5 * np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T])
    tetrahedra = Delaunay(nodes).simplices
    points = rng.uniform(-4.9, 4.9, (500, 3))
    found, inside = MeshField(nodes, tetrahedra, linear(nodes)).sample(points)
    assert inside.all()
    np.testing.assert_allclose(found, linear(points), atol=1e-12)
    # Values of whole tetrahedra, carried to the nodes, are exact wherever a patch fixes a slope.
    number = len(tetrahedra)
    centres = linear(nodes[tetrahedra].mean(axis=1))
    empty = np.zeros((0, 3), np.int32)
    tags = np.full(number, 2, np.int32)
    mesh = Mesh(nodes, tetrahedra.astype(np.int32), empty, tags, np.zeros(0, np.int32), {}, {"E": centres}, {})
    write_mesh(tmp_path / "m.msh", mesh)
    found, _ = read_mesh_field(tmp_path / "m.msh").sample(points)
    close = np.abs(found - linear(points)).max(axis=1) < 1e-9
    assert close.mean() > 0.9


def test_every_point_has_its_tetrahedron():
    """The search agrees with scipy's, faces and nodes included."""
    rng = np.random.default_rng(8)
    nodes = rng.uniform(-5, 5, (300, 3))
    mesh = Delaunay(nodes)
    field = MeshField(nodes, mesh.simplices, nodes)
    points = np.concatenate(
        [rng.uniform(-5.5, 5.5, (2000, 3)), nodes[:50], nodes[mesh.simplices[:50, :3]].mean(axis=1)]
    )
    found, weight = field.locate(points)
    np.testing.assert_array_equal(found >= 0, mesh.find_simplex(points, tol=1e-9) >= 0)
    inside = found >= 0
    back = np.einsum("nc,nci->ni", weight[inside], nodes[mesh.simplices[found[inside]]])
    np.testing.assert_allclose(back, points[inside], atol=1e-10)


def test_quadratic_fields_converge_with_the_square_of_the_compartments():
    """Four times less error with half the length: the trapezoid rule's order."""

    def quadratic(points):
        x, y, z = points.T
        return np.stack([1 + x * x, 0.5 + x * y, 1 - z * z], 1)

    errors = []
    for pieces in (16, 32, 64):
        t = np.linspace(0, 1, pieces + 1)
        path = np.stack([800 * t, 400 * t**2, -600 * np.sin(2 * t)], 1)
        cell = tree(np.arange(-1, pieces), path)
        one = CellPose(np.zeros((1, 3)), np.array([[0, 0, 1.0]]), np.zeros(1))
        errors.append(quasi_potentials(Analytic(quadratic), cell, one).potential[0, -1])
    t = np.linspace(0, 1, 200_001)
    path = np.stack([0.8 * t, 0.4 * t**2, -0.6 * np.sin(2 * t)], 1)
    e = quadratic(path)
    exact = -np.sum(0.5 * (e[1:] + e[:-1]) * np.diff(path, axis=0)) / np.linalg.norm(e[0])
    first, second, third = np.abs(np.array(errors) - exact)
    assert first / second == pytest.approx(4, rel=0.05) and second / third == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("kind", ["grid", "mesh"])
def test_turning_and_moving_all_changes_nothing(kind):
    """Field, cell and head turned and moved together: the same potentials to 1e-12 of the largest."""
    rng = np.random.default_rng(9)
    turn = rotations(np.array([[0.3, -0.5, -0.81]]) / np.linalg.norm([0.3, -0.5, -0.81]), np.array([0.7]))[0]
    shift = np.array([12.0, -30, 45])
    poses = random_poses(extent_mm=2.0)
    bare = rotations(poses.normal @ turn.T, np.zeros(len(poses)))
    left = np.einsum("nji,njk->nik", bare, turn @ poses.rotations())
    moved = CellPose(poses.position @ turn.T + shift, poses.normal @ turn.T, np.arctan2(left[:, 1, 0], left[:, 0, 0]))
    if kind == "grid":
        value = rng.normal(loc=(4, 0, 0), size=(7, 7, 7, 3))
        affine = np.diag([2.0, 2, 2, 1])
        affine[:3, 3] = -6
        rigid = np.eye(4)
        rigid[:3, :3], rigid[:3, 3] = turn, shift
        fields = GridField(value, affine), GridField(value @ turn.T, rigid @ affine)
    else:
        nodes = rng.uniform(-8, 8, (400, 3))
        tetrahedra, value = Delaunay(nodes).simplices, rng.normal(loc=(4, 0, 0), size=(400, 3))
        fields = MeshField(nodes, tetrahedra, value), MeshField(nodes @ turn.T + shift, tetrahedra, value @ turn.T)
    one, other = (quasi_potentials(field, CELL, pose) for field, pose in zip(fields, (poses, moved), strict=True))
    np.testing.assert_array_equal(one.inside, other.inside)
    assert np.abs(one.potential - other.potential).max() < 1e-12 * np.abs(one.potential).max()


def test_grid_kernel_agrees_with_the_plain_way():
    rng = np.random.default_rng(10)
    tissue = rng.random((14, 14, 14)) < 0.8
    affine = np.diag([0.6, 0.6, 0.6, 1])
    affine[:3, 3] = -3.9
    field = GridField(rng.normal(loc=(3, 0, 0), size=(14, 14, 14, 3)), affine, tissue)
    fast, plain = quasi_potentials(field, CELL, POSES), quasi_potentials(Wrapped(field), CELL, POSES)
    np.testing.assert_array_equal(fast.inside, plain.inside)
    np.testing.assert_allclose(fast.potential, plain.potential, atol=1e-13)
    np.testing.assert_allclose(fast.centre_field, plain.centre_field, atol=1e-13)


class Wrapped:
    """A field whose kind cannot be seen."""

    def __init__(self, field):
        self.sample = field.sample


def test_corners_without_tissue_are_left_out():
    value = np.zeros((2, 2, 2, 3))
    value[0] = [1.0, 2, 3]
    value[1] = [100.0, 100, 100]
    tissue = np.zeros((2, 2, 2), dtype=bool)
    tissue[0] = True
    found, inside = GridField(value, np.eye(4), tissue).sample(
        np.array([[0.3, 0.2, 0.9], [0.7, 0.5, 0.5], [1.0, 0.5, 0.5], [-0.4, 0, 0], [-0.6, 0, 0], [np.nan, 0, 0]])
    )
    np.testing.assert_allclose(found[[0, 1, 3]], [[1, 2, 3]] * 3, rtol=1e-12)
    assert np.isnan(found[[2, 4, 5]]).all()
    # The point's own voxel decides whether it is inside.
    assert inside.tolist() == [True, False, False, True, False, False]


def test_cells_that_leave_the_field():
    """Beyond the field its last value is carried on and compartments are marked; without a soma there is nothing."""
    field = GridField(np.broadcast_to([0, 0, 50.0], (3, 3, 3, 3)).copy(), np.eye(4))
    cell = tree(np.arange(-1, 5), np.stack([np.zeros(6), np.zeros(6), np.linspace(0, 2500, 6)], 1))
    poses = CellPose(np.array([[1.0, 1, 1], [9, 9, 9]]), np.array([[0, 0, 1.0]] * 2), np.zeros(2))
    for way in (field, Wrapped(field)):
        result = quasi_potentials(way, cell, poses)
        assert result.inside[0].tolist() == [True, True, True, False, False, False]
        np.testing.assert_allclose(result.potential[0], -1e-3 * cell.centre[:, 2], rtol=1e-12)
        assert np.isnan(result.potential[1]).all() and np.isnan(result.centre_field[1]).all()
        assert not result.inside[1].any()


def test_a_soma_without_field_gives_no_scale():
    assert np.isnan(quasi_potentials(UniformField(np.zeros(3)), CELL, POSES).potential).all()


def test_samples_in_the_cell_frame():
    field = Analytic(lambda points: points + np.array([5, 0, 0]))
    offsets = np.random.default_rng(11).uniform(-1000, 1000, (27, 3))
    value, inside = cell_frame_samples(field, offsets, POSES)
    back = np.einsum("nij,ngj->ngi", POSES.rotations(), value)
    expected = POSES.position[:, None] + 1e-3 * np.einsum("nij,gj->ngi", POSES.rotations(), offsets) + [5, 0, 0]
    np.testing.assert_allclose(back, expected, atol=1e-12)
    assert inside.shape == (25, 27) and inside.all()


def test_positions_of_compartments():
    places = compartment_positions(CELL, POSES)
    assert places.shape == (25, 200, 3)
    np.testing.assert_allclose(places[:, 0], POSES.position)
    distance = np.linalg.norm(places - POSES.position[:, None], axis=2)
    np.testing.assert_allclose(distance, np.tile(1e-3 * np.linalg.norm(CELL.centre, axis=1), (25, 1)))
