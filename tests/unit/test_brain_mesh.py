"""The voxel mesh of the MNI152 brain."""

import numpy as np
import pytest

from understudy.anatomy import load_template
from understudy.axon.brain_mesh import (
    BRAIN,
    CSF,
    HEX_CORNERS,
    block_mesh,
    build_brain_mesh,
    cell_means,
    head_to_mni,
    largest_component,
    mni_to_head,
)
from understudy.axon.config import Head


@pytest.fixture(scope="module")
def mesh():
    return build_brain_mesh(Head(element_mm=6.0))


def test_counts_are_those_of_the_brain(mesh):
    # A separate construction of the same mask gave 8,361 cubes and 10,190 nodes; closings differ in a few voxels.
    assert len(mesh.elements) == pytest.approx(8361, rel=0.002)
    assert len(mesh.nodes) == pytest.approx(10190, rel=0.002)
    # 1,816 mL of template, shrunk by 0.94 in each direction.
    assert len(mesh.elements) * mesh.element_m**3 == pytest.approx(1816e-6 * 0.94**3, rel=0.01)


def test_elements_are_equal_cubes_in_standard_order(mesh):
    corners = mesh.nodes[mesh.elements]
    expected = HEX_CORNERS * mesh.element_m
    assert np.allclose(corners - corners[:, :1], expected, atol=1e-12)
    assert mesh.element_m == pytest.approx(0.94 * 6e-3)


def test_cells_and_elements_agree(mesh):
    cells = np.argwhere(mesh.cell_element >= 0)
    number = mesh.cell_element[tuple(cells.T)]
    assert np.array_equal(np.sort(number), np.arange(len(mesh.elements)))
    assert mesh.cell_element.shape == mesh.grid_shape
    first_corner = mesh.nodes[mesh.elements[number, 0]]
    assert np.allclose(first_corner, mesh.grid_origin_m + cells * mesh.element_m, atol=1e-12)


def test_skull_nodes_are_the_surface(mesh):
    count = np.bincount(mesh.elements.ravel(), minlength=len(mesh.nodes))
    assert np.array_equal(mesh.skull, count < 8)
    assert 0.2 < mesh.skull.mean() < 0.5


def test_csf_is_a_part_of_the_outermost_layer(mesh):
    csf = mesh.tissue == CSF
    assert set(np.unique(mesh.tissue)) == {BRAIN, CSF}
    assert mesh.skull[mesh.elements[csf]].any(axis=1).all()
    white, _ = load_template("wm")
    grey, _ = load_template("gm")
    tissue = cell_means(white + grey, 6.0)[mesh.cell_element >= 0]
    outermost = mesh.skull[mesh.elements].any(axis=1)
    assert np.array_equal(csf, outermost & (tissue < 0.5))


def test_one_connected_piece(mesh):
    assert np.array_equal(largest_component(mesh.cell_element >= 0), mesh.cell_element >= 0)


def test_largest_component_drops_islands():
    cells = np.zeros((6, 5, 4), dtype=bool)
    cells[:3] = True
    cells[5, 4, 3] = True
    kept = largest_component(cells)
    assert kept.sum() == 3 * 20
    assert not kept[5, 4, 3]


def test_head_coordinates_are_those_of_the_template(mesh):
    # The brain's white matter lies inside the mesh: a point deep in the right hemisphere is right, and comes back.
    point = np.array([[25.0, -20.0, 25.0], [0.0, 30.0, 0.0]])
    head = mni_to_head(point, mesh)
    assert head[0, 0] == pytest.approx(0.94 * 25e-3, abs=1e-4)
    assert np.allclose(head_to_mni(head, mesh), point, atol=1e-12)
    assert np.allclose(mni_to_head(mesh.centre_mm, mesh), 0)
    # The cell of a template voxel holds it: white matter by the template is white matter by the cell.
    cell = np.floor((head - mesh.grid_origin_m) / mesh.element_m).astype(int)
    assert (mesh.cell_element[tuple(cell.T)] >= 0).all()
    white, affine = load_template("wm")
    means = cell_means(white, 6.0)
    voxel = np.round(point - affine[:3, 3]).astype(int)
    assert np.array_equal(cell, voxel // 6)
    assert means[tuple(cell[0])] > 0.5


def test_cell_means_conserve_and_need_no_whole_number():
    volume = np.random.default_rng(0).random((9, 10, 12))
    whole = cell_means(volume, 3)
    expected = volume[:, :9].reshape(3, 3, 3, 3, 4, 3).mean(axis=(1, 3, 5))
    assert np.allclose(whole, expected, atol=1e-12)
    part = cell_means(volume, 1.5)
    assert part.shape == (6, 6, 8)
    first = volume[:2, :2, :2] * np.einsum("i,j,k->ijk", *[[1, 0.5]] * 3)
    assert part[0, 0, 0] == pytest.approx(first.sum() / 1.5**3)


def test_block_mesh_is_centred():
    block = block_mesh((2, 3, 4), 0.01)
    assert len(block.elements) == 24
    assert np.allclose(block.nodes.mean(axis=0), 0, atol=1e-15)
    assert (~block.skull).sum() == 1 * 2 * 3
    assert (block.tissue == BRAIN).all()
