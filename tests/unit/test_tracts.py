"""Tracts of voxels: names from bundles, numbers from a tractogram's property, the longest passage wins."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from understudy.axon.tracts import iterate_bundles, read_tract_names, tract_of_bundle, tracts_of_voxels
from understudy.axon.white_matter import WhiteMatter
from understudy.errors import InputError

NAMES = ["Association_CingulumL_Parolfactory", "Association_CingulumR_Parolfactory", "Commissure_CorpusCallosum_Body"]


@pytest.fixture
def white_matter() -> WhiteMatter:
    """A slab of 6 x 3 x 1 voxels of 2 mm, the first centred at (10, 20, 30) mm."""
    shape = (6, 3, 1)
    index = np.argwhere(np.ones(shape, dtype=bool))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (10.0, 20.0, 30.0)
    return WhiteMatter(index, index * 2.0 + affine[:3, 3], np.ones(len(index)), affine, shape, 2.0)


def along_x(y_mm: float, first_mm: float = 9.0, last_mm: float = 21.0) -> np.ndarray:
    """A straight streamline through a row of the slab."""
    x = np.linspace(first_mm, last_mm, 13)
    return np.stack([x, np.full_like(x, y_mm), np.full_like(x, 30.0)], axis=1)


def save(path, streamlines, numbers=None):
    """A TRK file whose own voxel grid is not the identity, with the bundle of each streamline."""
    properties = {} if numbers is None else {"bundle": np.asarray(numbers, dtype=np.float32)[:, None]}
    tractogram = nibabel.streamlines.Tractogram(
        [line.astype(np.float32) for line in streamlines], data_per_streamline=properties, affine_to_rasmm=np.eye(4)
    )
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-98.0, -134.0, -72.0)
    header = {"voxel_to_rasmm": affine, "voxel_sizes": (2.0, 2.0, 2.0)}
    nibabel.streamlines.save(tractogram, str(path), header=header)
    return path


def rows(tracts, white_matter, y: int) -> list[int]:
    """Tract numbers of a row of the slab, along x."""
    return tracts.number[white_matter.index[:, 1] == y].tolist()


def test_voxels_of_two_bundles(tmp_path, white_matter):
    # The left and right cingulum pass the first row, the callosum the second; nothing passes the third.
    path = save(tmp_path / "lines.trk", [along_x(20.0), along_x(20.5), along_x(22.0)], [0, 1, 2])
    tracts = tracts_of_voxels(iterate_bundles(path), NAMES, white_matter)
    assert tracts.names == ("Cingulum", "Corpus callosum")
    assert rows(tracts, white_matter, 0) == [0] * 6
    assert rows(tracts, white_matter, 1) == [1] * 6
    assert rows(tracts, white_matter, 2) == [-1] * 6


def test_streamlines_come_in_mm_with_their_bundle(tmp_path):
    lines = [along_x(20.0), along_x(24.0)[:4]]
    found = list(iterate_bundles(save(tmp_path / "lines.trk", lines, [2, 0])))
    assert [number for number, _ in found] == [2, 0]
    for (_, line), expected in zip(found, lines, strict=True):
        # float32 through the file's own coordinates.
        np.testing.assert_allclose(line, expected, atol=1e-4)


def test_the_tract_with_more_length_has_the_voxel(white_matter):
    # Three streamlines of the callosum on half of the row against two of the cingulum on all of it.
    bundles = [(0, along_x(20.0)), (1, along_x(20.2)), *((2, along_x(20.4, 9.0, 15.0)) for _ in range(3))]
    tracts = tracts_of_voxels(bundles, NAMES, white_matter)
    assert rows(tracts, white_matter, 0) == [1, 1, 1, 0, 0, 0]


def test_only_tracts_with_voxels_are_numbered(white_matter):
    outside = along_x(20.0) + 500.0
    single_point = along_x(24.0)[:1]
    tracts = tracts_of_voxels([(0, outside), (1, single_point), (2, along_x(22.0))], NAMES, white_matter)
    assert tracts.names == ("Corpus callosum",)
    assert set(tracts.number.tolist()) == {-1, 0}


def test_a_tractogram_without_the_property_is_refused(tmp_path):
    path = save(tmp_path / "lines.trk", [along_x(20.0)])
    with pytest.raises(InputError, match=r"lines\.trk: found no streamline property 'bundle'.*tract_names: null"):
        list(iterate_bundles(path))


def test_a_bundle_without_a_name_is_refused(tmp_path, white_matter):
    path = save(tmp_path / "lines.trk", [along_x(20.0), along_x(22.0)], [0, 3])
    with pytest.raises(InputError, match="found 3 names, but a streamline of bundle 3"):
        tracts_of_voxels(iterate_bundles(path), NAMES, white_matter)


def test_names_are_read_line_by_line(tmp_path):
    path = tmp_path / "names.txt"
    path.write_text("Association_FornixL\n\n  Cerebellum_Vermis \n")
    # An empty line is a bundle without a name, not a bundle less.
    assert read_tract_names(path) == ["Association_FornixL", "", "Cerebellum_Vermis"]


@pytest.mark.parametrize("content", [None, "", "\n \n"])
def test_missing_or_empty_names_are_refused(tmp_path, content):
    path = tmp_path / "names.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"names\.txt: .*accepted is a text file with the name of bundle k"):
        read_tract_names(path)


@pytest.mark.parametrize(
    ("bundle", "tract"),
    [
        ("Association_CingulumL_Parolfactory", "Cingulum"),
        ("Association_CingulumR_Frontal_Parietal", "Cingulum"),
        ("ProjectionBrainstem_CorticospinalTractR", "Corticospinal tract"),
        ("Association_SuperiorLongitudinalFasciculusII", "Superior longitudinal fasciculus ii"),
        ("CranialNerve_CNIIIL", "Cranial nerve III"),
        ("Vermis", "Vermis"),
    ],
)
def test_both_sides_and_all_parts_are_one_tract(bundle, tract):
    assert tract_of_bundle(bundle) == tract
