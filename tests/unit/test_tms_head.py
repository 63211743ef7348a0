"""Head labels, surfaces, patches, coil placement, warps and the refined box."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.errors import InputError
from understudy.tms.coil_placement import coil_pose, scalp_distance_mm
from understudy.tms.conduction import ConductionSolver, primary_at_voxels
from understudy.tms.cortex import HAND_KNOB_MM, Cortex, layer_positions, load_cortex, nearest_vertex, patches
from understudy.tms.head_model import (
    CONDUCTIVITY_S_PER_M,
    GREY,
    TISSUES,
    WHITE,
    HeadModel,
    build_head,
    label_grid,
    tissue_overlap,
)
from understudy.tms.head_variants import displacement, second_head, unwarp_points, warp_cortex, warp_points
from understudy.tms.local_field import LocalBox, tissue_field
from understudy.tms.surface_filling import points_inside


def ball(radius_mm: float, rings: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A triangulated sphere wound outwards."""
    theta, phi = np.meshgrid(
        np.linspace(0, np.pi, rings + 1)[1:-1], np.arange(2 * rings) * np.pi / rings, indexing="ij"
    )
    points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1).reshape(-1, 3)
    points = np.concatenate([points, [[0, 0, 1], [0, 0, -1]]])
    around = 2 * rings
    faces = []
    for ring in range(rings - 2):
        for k in range(around):
            a, b = ring * around + k, ring * around + (k + 1) % around
            faces += [[a, a + around, b], [b, a + around, b + around]]
    last = (rings - 2) * around
    for k in range(around):
        faces += [[len(points) - 2, k, (k + 1) % around], [last + k, len(points) - 1, last + (k + 1) % around]]
    return radius_mm * points, np.array(faces)


def round_head() -> HeadModel:
    """A small round head whose cortex is between balls of 17 and 20 mm: made as the template's head is, in no time."""
    axes = np.arange(-36.0, 37.0)
    distance = np.sqrt(axes[:, None, None] ** 2 + axes[None, :, None] ** 2 + axes**2).astype(np.float32)
    maps = {
        "gm": ((distance <= 20) & (distance > 17)).astype(np.float32),
        "wm": (distance <= 17).astype(np.float32),
        "outside_mm": distance - 20,
        "deep": distance < 12,
        "other": distance > 25,
    }
    map_affine = np.eye(4)
    map_affine[:3, 3] = -36
    pial, faces = ball(20.0)
    hemisphere = Cortex(ball(17.0)[0], pial, faces, "left")
    shells = (1.5, 4.0, 4.0)
    cells, factor = 36, 4
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -35
    fine = label_grid(maps, map_affine, (hemisphere,), shells, affine[:3, 3] - 0.75, 0.5, (cells * factor,) * 3)
    labels = ConductionSolver(fine, factor, CONDUCTIVITY_S_PER_M, affine).label
    return HeadModel(labels, affine, CONDUCTIVITY_S_PER_M, fine, factor, (hemisphere,), maps, map_affine, shells)


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return round_head()


@pytest.fixture(scope="module")
def left() -> Cortex:
    return load_cortex("left")


def uniform_primary(points: np.ndarray) -> np.ndarray:
    """A solenoid's field about the y axis: no source near."""
    return np.stack([points[:, 2], np.zeros(len(points)), -points[:, 0]], axis=1) * 0.01


FAR_MM = np.array([[0.0, 500.0, 0.0]])


def test_points_inside_a_ball() -> None:
    vertices, faces = ball(10.0, rings=40)
    inside = points_inside(vertices + 0.2, faces, np.array([-12.0, -12.0, -12.0]), 0.5, (49, 49, 49))
    at = np.arange(49) * 0.5 - 12.2
    distance = np.sqrt(at[:, None, None] ** 2 + at[None, :, None] ** 2 + at**2)
    assert inside[distance < 9.9].all()
    assert not inside[distance > 10].any()
    # A grid that begins inside the surface still knows it.
    part = points_inside(vertices, faces, np.array([0.0, 0.0, 0.0]), 0.5, (4, 4, 4))
    assert part.all()


def test_head_layers(head) -> None:
    """Labels along a radius: white, grey, CSF, skull, scalp, air, with the shells' thicknesses."""
    origin = np.array([0.0, 0.0, 0.0])
    line = label_grid(head.maps, head.map_affine, head.cortex, head.shells_mm, origin, 0.125, (2, 2, 280))[0, 0]
    edges = np.flatnonzero(np.diff(line)) * 0.125
    assert [TISSUES[k] for k in line[np.concatenate([[0], np.flatnonzero(np.diff(line)) + 1])]] == [
        "white matter",
        "grey matter",
        "CSF",
        "skull",
        "scalp",
        "air",
    ]
    np.testing.assert_allclose(edges, [17, 20, 21.5, 25.5, 29.5], atol=0.2)


def test_local_box_agrees_with_whole_head(head) -> None:
    """A smooth geometry at 2 mm and 0.5 mm: the same field but for the coarse grid's error."""
    whole = head.solver()
    solution = whole.solve(primary_at_voxels(whole, uniform_primary, FAR_MM))
    box = LocalBox(head, np.array([0.0, 0.0, 16.0]), 12.0, 0.5)
    local = box.solve(whole, solution, uniform_primary, FAR_MM)
    points = np.random.default_rng(0).uniform(-3, 3, size=(200, 3)) + np.array([0.0, 0.0, 15.0])
    fine, inside = box.field(local).sample(points)
    coarse, _ = tissue_field(whole, solution).sample(points)
    assert inside.all()
    # Rotation about y in a round conductor: the field is the primary field itself.
    np.testing.assert_allclose(fine, uniform_primary(points), atol=0.03 * np.abs(fine).max())
    np.testing.assert_allclose(coarse, uniform_primary(points), atol=0.06 * np.abs(fine).max())


def test_solution_is_linear_and_repeatable(head) -> None:
    whole = head.solver()
    primary = primary_at_voxels(whole, uniform_primary, FAR_MM)
    once, again, twice = whole.solve(primary), whole.solve(primary), whole.solve(2 * primary)
    np.testing.assert_array_equal(once.field, again.field)
    np.testing.assert_allclose(twice.field, 2 * once.field, atol=1e-5 * np.abs(once.field).max())


def test_block_interpolation(head) -> None:
    """Chebyshev blocks against the function itself for a source 30 mm outside."""
    whole = head.solver()
    source = np.array([0.0, 0.0, 45.0])

    def primary(points: np.ndarray) -> np.ndarray:
        line = points - source
        return np.cross([0.0, 1.0, 0.3], line) / np.linalg.norm(line, axis=1)[:, None] ** 3

    exact = primary(whole.centres_mm())
    found = primary_at_voxels(whole, primary, source[None])
    assert np.abs(found - exact).max() < 2e-3 * np.abs(exact).max()


def test_coil_stands_on_the_scalp(head) -> None:
    pose = coil_pose(head, np.array([5.0, -3.0, 17.0]), 30.0, distance_mm=4.0)
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-9)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1)
    assert -scalp_distance_mm(head, pose[None, :3, 3])[0] == pytest.approx(4.0, abs=0.1)
    # Tangential: the axis points away from the round head's centre.
    assert pose[:3, 2] @ pose[:3, 3] / np.linalg.norm(pose[:3, 3]) > 0.999
    turned = coil_pose(head, np.array([5.0, -3.0, 17.0]), 120.0, distance_mm=4.0)
    assert abs(pose[:3, 1] @ turned[:3, 1]) < 1e-6
    with pytest.raises(InputError, match="outside the head"):
        coil_pose(head, np.array([0.0, 0.0, 60.0]), 0.0)


def test_handle_backwards_drives_the_field_forwards(head) -> None:
    pose = coil_pose(head, np.array([0.0, 0.0, 17.0]), 0.0)
    assert pose[1, 1] > 0.99
    # Counterclockwise seen from above: the side away from the handle turns to the left.
    assert coil_pose(head, np.array([0.0, 0.0, 17.0]), 90.0)[0, 1] < -0.99


def test_surfaces_in_mni(left) -> None:
    """The hand knob's vertex is near the named place and the matrix was not inverted."""
    middle = left.at_depth(0.5)
    assert np.linalg.norm(middle[nearest_vertex(left, HAND_KNOB_MM)] - HAND_KNOB_MM) < 4
    assert middle[:, 1].max() > 68 and middle[left.is_cortex].shape[0] > 9000
    normals = left.normals[left.is_cortex]
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-9)
    depth = np.linalg.norm(layer_positions(left, "L5_TTPC") - left.pial, axis=1)
    np.testing.assert_allclose(depth, 0.65 * left.thickness_mm)
    with pytest.raises(InputError, match="cell type"):
        layer_positions(left, "L6_TPC")
    with pytest.raises(InputError, match="hemisphere"):
        load_cortex("both")


def test_patches_are_disjoint(left) -> None:
    middle = left.at_depth(0.5)
    near = np.linalg.norm(middle - HAND_KNOB_MM, axis=1) < 45
    found = patches(left, 5, 8.0, candidates=near)
    assert np.linalg.norm(middle[found[0].centre] - HAND_KNOB_MM) < 4
    members = np.concatenate([patch.vertices for patch in found])
    assert len(members) == len(np.unique(members))
    assert min(len(patch.vertices) for patch in found) > 5
    with pytest.raises(InputError, match="room for"):
        patches(left, 40, 15.0, candidates=near)


def test_second_head_warp(left) -> None:
    variant = second_head(conductivity=CONDUCTIVITY_S_PER_M)
    moved = warp_points(left.pial, variant)
    np.testing.assert_allclose(unwarp_points(moved, variant), left.pial, atol=0.01)
    size = np.sqrt((displacement(left.pial, variant) ** 2).sum(axis=1).mean())
    assert 4 < size < 8
    assert sorted(variant.scale) == pytest.approx([0.92, 1.04, 1.08])
    assert {variant.csf_factor, variant.skull_factor} == {0.7, 1.3}
    assert warp_cortex(left, variant).thickness_mm[left.is_cortex].min() > 0.2
    with pytest.raises(InputError, match="folds"):
        second_head(conductivity=CONDUCTIVITY_S_PER_M, displacement_mm=40.0)


def test_bad_input(head) -> None:
    with pytest.raises(InputError, match="voxel_mm"):
        build_head(0.2)
    with pytest.raises(InputError, match="conductivity"):
        build_head(4.0, conductivity=np.ones(3))
    with pytest.raises(InputError, match="above 0"):
        ConductionSolver(head.fine, head.factor, np.array([0, 0.1, 0.2, 1.0, -0.01, 0.4]), head.affine)
    with pytest.raises(InputError, match="air only"):
        ConductionSolver(np.zeros((8, 8, 8), np.uint8), 4, CONDUCTIVITY_S_PER_M, head.affine)
    with pytest.raises(InputError, match="local_voxel_mm"):
        LocalBox(head, np.zeros(3), 4.0, 2.0)
    with pytest.raises(InputError, match="no grey or white"):
        LocalBox(head, np.array([200.0, 0.0, 0.0]), 8.0, 0.5)
    whole = head.solver()
    with pytest.raises(InputError, match="finite"):
        whole.solve(np.full((len(whole.voxels), 3), np.nan))
    with pytest.raises(InputError, match="sum"):
        whole.solve(current=np.ones(tuple(n + 1 for n in whole.label.shape)))


@pytest.mark.slow
def test_template_head() -> None:
    """The MNI152 head at 4 mm: sensible volumes, cortex near the scalp, surfaces and maps in the same place."""
    whole = build_head(4.0)
    volume_ml = np.bincount(whole.labels.ravel(), minlength=6) * 0.064
    assert 500 < volume_ml[WHITE] < 800 and 450 < volume_ml[GREY] < 900
    hand = whole.cortex[0].pial[np.linalg.norm(whole.cortex[0].pial - HAND_KNOB_MM, axis=1) < 15]
    assert 13 < scalp_distance_mm(whole, hand).min() < 17
    overlap = tissue_overlap(whole.labels, build_head(4.0, cortex_from="template").labels)
    assert overlap["white matter"] > 0.75 and overlap["grey matter"] > 0.5
    other = build_head(4.0, second_head(conductivity=1.1 * CONDUCTIVITY_S_PER_M))
    assert abs(other.shells_mm[1] / whole.shells_mm[1] - 1) == pytest.approx(0.3)
