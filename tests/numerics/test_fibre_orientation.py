"""Fibre orientation: exact traversal, tensor diffusion, the synthetic field, and directions known from anatomy."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from understudy.axon.brain_mesh import CSF, block_mesh, mni_to_head, voxel_mesh
from understudy.axon.fibre_orientation import (
    FibreField,
    diffuse_tensors,
    element_directions,
    orientation_tensors,
    principal_directions,
    synthetic_field,
    tractogram_field,
)
from understudy.axon.fibre_verification import callosum, check_directions, internal_capsule
from understudy.axon.tractography import read_tractogram
from understudy.axon.white_matter import WhiteMatter, voxels_at, white_matter_voxels
from understudy.errors import InputError


def block(shape: tuple[int, int, int], voxel_mm: float = 2.0) -> WhiteMatter:
    """A rectangular block of white matter with its lower corner at the origin."""
    index = np.argwhere(np.ones(shape, dtype=bool))
    affine = np.diag([voxel_mm, voxel_mm, voxel_mm, 1.0])
    affine[:3, 3] = 0.5 * voxel_mm
    return WhiteMatter(index, (index + 0.5) * voxel_mm, np.ones(len(index)), affine, shape, voxel_mm)


def full(tensor: np.ndarray) -> np.ndarray:
    """(v, 3, 3) of (v, 6)."""
    return tensor[:, [[0, 3, 4], [3, 1, 5], [4, 5, 2]]]


def test_a_straight_line_gives_its_own_tensor_and_length():
    white_matter = block((6, 5, 4))
    ends = np.array([[0.3, 0.7, 0.2], [11.2, 8.9, 7.1]])
    direction = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    tensor, length_mm = orientation_tensors([ends], white_matter)
    assert length_mm.sum() == pytest.approx(np.linalg.norm(ends[1] - ends[0]), abs=1e-12)
    passed = length_mm > 0
    assert np.allclose(full(tensor[passed]), np.outer(direction, direction), atol=1e-12)
    assert not tensor[~passed].any()


def test_only_the_part_inside_the_block_counts():
    # Along the diagonal of a face, entering and leaving through voxel corners.
    _, length_mm = orientation_tensors([np.array([[-4.0, -4.0, 1.0], [20.0, 20.0, 1.0]])], block((3, 3, 1)))
    assert length_mm.sum() == pytest.approx(6 * np.sqrt(2), abs=1e-12)


def test_traversal_agrees_with_dense_resampling():
    white_matter = block((8, 8, 8))
    rng = np.random.default_rng(3)
    streamlines = [np.cumsum(rng.normal(0, 1.5, (40, 3)), axis=0) + 8.0 for _ in range(20)]
    tensor, length_mm = orientation_tensors(streamlines, white_matter)
    dense_tensor, dense_length = np.zeros((len(tensor), 3, 3)), np.zeros(len(tensor))
    pieces = 2000
    for line in streamlines:
        for a, b in itertools.pairwise(line):
            middle = a + (np.arange(pieces)[:, None] + 0.5) / pieces * (b - a)
            rows = voxels_at(middle, white_matter)
            part, d = np.linalg.norm(b - a) / pieces, (b - a) / np.linalg.norm(b - a)
            count = np.bincount(rows[rows >= 0], minlength=len(tensor)) * part
            dense_length += count
            dense_tensor += count[:, None, None] * np.outer(d, d)
    # A voxel boundary cuts at most one piece of about 1e-3 mm per crossing; a voxel sees fewer than 20 crossings.
    assert np.abs(length_mm - dense_length).max() < 0.02
    assert np.abs(full(tensor) * length_mm[:, None, None] - dense_tensor).max() < 0.02


def test_batches_do_not_change_the_result(monkeypatch):
    white_matter = block((8, 8, 8))
    rng = np.random.default_rng(4)
    streamlines = [np.cumsum(rng.normal(0, 1, (30, 3)), axis=0) + 8.0 for _ in range(10)]
    whole = orientation_tensors(streamlines, white_matter)
    monkeypatch.setattr("understudy.axon.fibre_orientation._BATCH_POINTS", 50)
    parts = orientation_tensors(iter(streamlines), white_matter)
    assert np.array_equal(whole[0], parts[0]) and np.array_equal(whole[1], parts[1])


def test_coherence_of_two_crossing_lines():
    lines = [np.array([[0.0, 1.0, 1.0], [2.0, 1.0, 1.0]]), np.array([[1.0, 0.0, 1.0], [1.0, 2.0, 1.0]])]
    tensor, _ = orientation_tensors([*lines, lines[0]], block((1, 1, 1)))
    direction, coherence = principal_directions(tensor)
    assert np.allclose(direction, [[1, 0, 0]]) and coherence[0] == pytest.approx(2 / 3)


def test_tensor_diffusion_is_linear_along_a_bar():
    white_matter = block((9, 1, 1))
    tensor = np.zeros((9, 6))
    tensor[0], tensor[8] = [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0]
    covered = np.zeros(9, dtype=bool)
    covered[[0, 8]] = True
    filled = diffuse_tensors(tensor, covered, white_matter)
    part = np.arange(9) / 8
    # the solver's relative tolerance is 1e-8
    assert np.allclose(filled[:, 0], 1 - part, atol=1e-7) and np.allclose(filled[:, 1], part, atol=1e-7)
    assert np.array_equal(filled[covered], tensor[covered])


def test_a_gap_apart_from_all_covered_voxels_takes_the_nearest():
    bar = block((7, 1, 1))
    keep = np.array([0, 1, 2, 4, 6])
    white_matter = WhiteMatter(bar.index[keep], bar.centre_mm[keep], bar.probability[keep], bar.affine, bar.shape, 2.0)
    tensor = np.zeros((5, 6))
    tensor[0], tensor[4] = [1, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0]
    covered = np.array([True, False, False, False, True])
    filled = diffuse_tensors(tensor, covered, white_matter)
    assert np.allclose(filled[[1, 2]], tensor[0], atol=1e-7)
    assert np.array_equal(filled[3], tensor[4])


def test_a_tractogram_outside_the_white_matter_is_refused():
    with pytest.raises(InputError, match="no streamline inside the white matter"):
        tractogram_field([np.array([[50.0, 50.0, 50.0], [60.0, 50.0, 50.0]])], block((3, 3, 3)))


@pytest.fixture(scope="module")
def white_matter() -> WhiteMatter:
    return white_matter_voxels(3.0, 0.38)


@pytest.fixture(scope="module")
def tractogram(tmp_path_factory) -> Path:
    """The HCP-1065 atlas where UNDERSTUDY_DATA_DIR holds it, else lines across the callosum and down the capsule."""
    atlas = Path(os.environ.get("UNDERSTUDY_DATA_DIR", "")) / "fibres" / "icbm152_adult.trk"
    if "UNDERSTUDY_DATA_DIR" in os.environ and atlas.is_file():
        return atlas
    places = white_matter_voxels(4.0, 0.8)
    steps = np.linspace(-2.5, 2.5, 6)
    lines = []
    for chosen, along in ((callosum(places), [1.0, 0.1, 0.0]), (internal_capsule(places), [0.2, 0.1, 1.0])):
        lines += [centre + np.outer(steps, along) for centre in places.centre_mm[chosen]]
    path = tmp_path_factory.mktemp("fibres") / "lines.trk"
    lines = [line.astype(np.float32) for line in lines]
    nibabel.streamlines.save(nibabel.streamlines.Tractogram(lines, affine_to_rasmm=np.eye(4)), str(path))
    return path


def test_directions_of_a_tractogram_agree_with_anatomy(tractogram, white_matter):
    field = tractogram_field(read_tractogram(tractogram), white_matter)
    assert field.source == "tractogram" and 0 < field.covered.mean() < 1
    assert np.allclose(np.linalg.norm(field.direction, axis=1), 1, atol=1e-12)
    assert (field.coherence > 1 / 3 - 1e-6).all() and (field.coherence < 1 + 1e-6).all()
    checks = check_directions(field, white_matter)
    covered = [line for line in checks if "covered by streamlines" in line["name"]]
    assert len(covered) == 2
    assert all(line["passed"] for line in checks), checks


@pytest.mark.parametrize("voxel_mm", [3.0, 4.0])
def test_the_synthetic_field_agrees_with_anatomy(voxel_mm):
    white_matter = white_matter_voxels(voxel_mm, 0.38)
    field = synthetic_field(white_matter)
    assert field.source == "synthetic" and not field.covered.any()
    assert np.allclose(np.linalg.norm(field.direction, axis=1), 1, atol=1e-12)
    checks = check_directions(field, white_matter)
    assert len(checks) == 2 and all(line["passed"] for line in checks), checks


def test_a_wrong_direction_fails_its_check(white_matter):
    n = len(white_matter.index)
    field = FibreField(np.tile([0.0, 1.0, 0.0], (n, 1)), np.ones(n), np.zeros(n, dtype=bool), "synthetic")
    assert not any(line["passed"] for line in check_directions(field, white_matter))


@pytest.mark.parametrize("voxel_mm", [1.0, 2.0, 5.0])
def test_elements_take_the_direction_of_their_voxels(voxel_mm):
    mesh = block_mesh((4, 4, 4), 5e-3)
    # A slab of white matter over the elements with x > 0, of the same extent in y and z as the mesh.
    whole = block((round(20 / voxel_mm),) * 3, voxel_mm)
    affine, centre = whole.affine.copy(), whole.centre_mm - 10.0
    affine[:3, 3] -= 10.0
    slab = centre[:, 0] > 0
    white_matter = WhiteMatter(whole.index[slab], centre[slab], whole.probability[slab], affine, whole.shape, voxel_mm)
    # Alternating signs must not cancel.
    n = np.where(np.arange(slab.sum())[:, None] % 2 == 0, 1.0, -1.0) * np.array([0.6, 0.0, 0.8])
    field = FibreField(n, np.ones(len(n)), np.ones(len(n), dtype=bool), "tractogram")
    found = element_directions(field, white_matter, mesh)
    right = mesh.nodes[mesh.elements].mean(axis=1)[:, 0] > 0
    assert np.allclose(np.abs(found[right] @ [0.6, 0.0, 0.8]), 1)
    assert not found[~right].any()


def test_csf_elements_have_no_fibres():
    everywhere = np.ones((4, 4, 4), dtype=bool)
    mesh = voxel_mesh(everywhere, everywhere, 2e-3, np.zeros(3), np.zeros(3), 1.0)
    white_matter = block((4, 4, 4))
    n = np.tile([1.0, 0.0, 0.0], (64, 1))
    found = element_directions(FibreField(n, np.ones(64), np.ones(64, dtype=bool), "tractogram"), white_matter, mesh)
    assert (mesh.tissue == CSF).sum() == 56
    assert np.array_equal(found.any(axis=1), mesh.tissue != CSF)
    assert np.array_equal(mni_to_head(white_matter.centre_mm, mesh), white_matter.centre_mm * 1e-3)
