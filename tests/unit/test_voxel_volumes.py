"""Maps as NIfTI: values, places and space come back, equal values give equal bytes."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest

from understudy.axon.voxel_volumes import LEVELS, nifti_volumes
from understudy.axon.white_matter import WhiteMatter


@pytest.fixture
def white_matter() -> WhiteMatter:
    """Twenty voxels of 2 mm scattered over a small grid."""
    rng = np.random.default_rng(1)
    shape = (5, 6, 4)
    index = np.argwhere(rng.permutation(np.arange(120) < 20).reshape(shape))
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-97.5, -133.5, -71.5)
    return WhiteMatter(index, index * 2.0 + affine[:3, 3], np.ones(20), affine, shape, 2.0)


def opened(path, data: bytes) -> nibabel.Nifti1Image:
    path.write_bytes(data)
    return nibabel.load(path)


def test_values_come_back_in_their_voxels(tmp_path, white_matter):
    rng = np.random.default_rng(2)
    values = [rng.uniform(0, 0.5, 20), rng.uniform(-1, 1, 20).astype(np.float32)]
    volumes = nifti_volumes(values, white_matter, "impact 007: test")
    image = opened(tmp_path / "a.nii.gz", volumes.data)
    data = image.get_fdata()
    assert data.shape == (5, 6, 4, 2)
    assert image.get_data_dtype() == np.int16
    assert volumes.missing == (0, 0)
    outside = np.ones(white_matter.shape, dtype=bool)
    outside[tuple(white_matter.index.T)] = False
    for number, expected in enumerate(values):
        # Half a step of rounding, with a per mille for the header's slope in single precision.
        np.testing.assert_allclose(
            data[(*white_matter.index.T, number)], expected, atol=0.501 * volumes.step[number], rtol=0
        )
    assert (data[outside] == 0).all()
    assert bytes(image.header["descrip"]).startswith(b"impact 007: test")


def test_a_voxel_lies_where_the_white_matter_says(tmp_path, white_matter):
    values = np.zeros(20)
    values[7] = 0.25
    image = opened(tmp_path / "a.nii.gz", nifti_volumes([values], white_matter, "one").data)
    place = np.argwhere(image.get_fdata()[..., 0] > 0)
    assert len(place) == 1
    np.testing.assert_allclose(nibabel.affines.apply_affine(image.affine, place[0]), white_matter.centre_mm[7])
    assert image.header.get_xyzt_units()[0] == "mm"
    # Code 4 is the MNI152 space of the NIfTI standard.
    assert (int(image.header["sform_code"]), int(image.header["qform_code"])) == (4, 4)


@pytest.mark.parametrize("scale", [0.7, 1e-3, 3e4])
@pytest.mark.parametrize("levels", [LEVELS, 64])
def test_each_volume_has_the_stated_resolution(tmp_path, white_matter, scale, levels):
    # The largest volume sets the slope; 0.3 and -0.04 of it are resolved as finely relative to their own extent.
    extents = scale * np.array([1.0, 0.3, -0.04, 0.001])
    values = [np.linspace(0, extent, 20) for extent in extents]
    volumes = nifti_volumes(values, white_matter, "scaled", levels)
    data = opened(tmp_path / "a.nii.gz", volumes.data).get_fdata()
    assert volumes.step[0] == pytest.approx(scale / levels, rel=1e-6)
    for number, (extent, step, expected) in enumerate(zip(np.abs(extents), volumes.step, values, strict=True)):
        if number == 3:
            assert step == volumes.slope
        else:
            assert 0.999 <= step * levels / extent < 2
        assert step / volumes.slope == round(step / volumes.slope)
        found = data[(*white_matter.index.T, number)]
        np.testing.assert_allclose(found, expected, atol=0.501 * step, rtol=0)
    assert data[(*white_matter.index[19], 0)] == pytest.approx(scale, rel=1e-6)


def test_volumes_of_zeros_are_zeros(tmp_path, white_matter):
    volumes = nifti_volumes([np.zeros(20), np.zeros(20)], white_matter, "zero")
    assert not opened(tmp_path / "a.nii.gz", volumes.data).get_fdata().any()
    assert volumes.slope > 0


def test_voxels_without_a_value_are_counted_and_hold_zero(tmp_path, white_matter):
    values = np.full(20, 0.3)
    values[[2, 11]] = np.nan
    volumes = nifti_volumes([values, np.full(20, 0.3)], white_matter, "missing")
    assert volumes.missing == (2, 0)
    inside = opened(tmp_path / "a.nii.gz", volumes.data).get_fdata()[(*white_matter.index.T, 0)]
    assert np.flatnonzero(inside == 0).tolist() == [2, 11]


def test_equal_values_give_equal_bytes_without_name_or_time(white_matter):
    values = [np.linspace(0, 1, 20)]
    first, second = (nifti_volumes(values, white_matter, "same").data for _ in range(2))
    assert first == second
    # RFC 1952: no flags (no name), and a time of zero.
    assert first[3] == 0 and first[4:8] == bytes(4)
    assert gzip.decompress(first)[344:347] == b"n+1"
    assert nifti_volumes([values[0] + 0.01], white_matter, "same").data != first


def test_a_description_too_long_or_not_ascii_is_cut(tmp_path, white_matter):
    volumes = nifti_volumes([np.zeros(20)], white_matter, "é" + 200 * "x")
    text = bytes(opened(tmp_path / "a.nii.gz", volumes.data).header["descrip"])
    assert text.rstrip(b"\0") == b"?" + 78 * b"x"
