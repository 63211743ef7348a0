"""White-matter voxels: the published number, the grid's geometry, neighbours."""

from __future__ import annotations

import numpy as np
import pytest

from understudy.anatomy import load_template
from understudy.axon.white_matter import voxel_neighbours, voxels_at, white_matter_voxels
from understudy.errors import InputError


def test_the_published_grid_has_its_number_of_voxels():
    # 2 mm and 0.38 were chosen because they give this number (published: about 92,500).
    assert len(white_matter_voxels(2.0, 0.38).index) == 92_439


def test_voxels_of_the_template_itself_keep_its_probabilities_and_places():
    template, affine = load_template("wm")
    white_matter = white_matter_voxels(1.0, 0.95)
    assert np.array_equal(white_matter.affine, affine)
    # Means come from differences of running sums: exact to their rounding.
    assert np.allclose(white_matter.probability, template[tuple(white_matter.index.T)], atol=1e-9)


@pytest.mark.parametrize("voxel_mm", [2.5, 4.0])
def test_centres_follow_from_the_affine_and_lead_back_to_the_voxel(voxel_mm):
    white_matter = white_matter_voxels(voxel_mm, 0.5)
    homogeneous = np.column_stack([white_matter.index, np.ones(len(white_matter.index))])
    assert np.allclose(white_matter.centre_mm, (homogeneous @ white_matter.affine.T)[:, :3])
    rows = np.arange(len(white_matter.index))
    for shift in (-0.49, 0.0, 0.49):
        assert np.array_equal(voxels_at(white_matter.centre_mm + shift * voxel_mm, white_matter), rows)


def test_points_outside_the_white_matter_have_no_voxel():
    white_matter = white_matter_voxels(4.0, 0.5)
    assert voxels_at(np.array([[0.0, 0.0, 500.0], [-500.0, 0.0, 0.0]]), white_matter).tolist() == [-1, -1]


def test_neighbours_share_a_face_and_come_once():
    white_matter = white_matter_voxels(4.0, 0.6)
    pairs = voxel_neighbours(white_matter)
    apart = np.abs(white_matter.index[pairs[:, 0]] - white_matter.index[pairs[:, 1]])
    assert (apart.sum(axis=1) == 1).all()
    assert len(np.unique(np.sort(pairs, axis=1), axis=0)) == len(pairs)
    present = {tuple(index) for index in white_matter.index.tolist()}
    steps = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    expected = sum((x + a, y + b, z + c) in present for x, y, z in present for a, b, c in steps)
    assert len(pairs) == expected


def test_a_threshold_that_no_voxel_reaches_is_named():
    with pytest.raises(InputError, match=r"fibres\.white_matter_threshold: found 1"):
        white_matter_voxels(4.0, 1.0)
