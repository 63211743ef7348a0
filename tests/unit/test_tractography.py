"""Tractogram files: what is read, and what is refused with which words."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pytest

from understudy.axon.tractography import read_tractogram
from understudy.axon.white_matter import white_matter_voxels
from understudy.errors import InputError


@pytest.fixture(scope="module")
def streamlines() -> list[np.ndarray]:
    """Short lines in compact white matter all over the brain."""
    white_matter = white_matter_voxels(4.0, 0.9)
    step = np.array([0.0, 0.8, 0.6])
    return [(centre + np.outer([-1.0, 0.0, 1.0], step)).astype(np.float32) for centre in white_matter.centre_mm]


def save(path: Path, streamlines: list[np.ndarray], affine: np.ndarray | None = None) -> Path:
    """Write points in RAS mm; TRK files carry a voxel grid of their own."""
    tractogram = nibabel.streamlines.Tractogram(streamlines, affine_to_rasmm=np.eye(4))
    header = {} if affine is None else {"voxel_to_rasmm": affine, "voxel_sizes": np.diag(affine)[:3]}
    nibabel.streamlines.save(tractogram, str(path), header=header)
    return path


@pytest.mark.parametrize("name", ["lines.trk", "lines.tck"])
def test_streamlines_come_back_in_mm(tmp_path, streamlines, name):
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-98, -134, -72)
    path = save(tmp_path / name, streamlines, affine if name.endswith("trk") else None)
    tractogram = read_tractogram(path, hashlib.sha256(path.read_bytes()).hexdigest())
    found = list(tractogram)
    assert tractogram.streamlines == len(found) == len(streamlines)
    assert tractogram.points == 3 * len(streamlines)
    assert tractogram.white_matter_share > 0.95
    # float32 coordinates of 100 mm, twice transformed
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(found, streamlines, strict=True))
    assert len(list(tractogram)) == len(streamlines), "it can be read again"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.trk: no such file; accepted is a tractogram in MNI152 space"):
        read_tractogram(tmp_path / "none.trk")


def test_another_format_is_refused_by_its_name(tmp_path):
    (tmp_path / "lines.vtk").write_bytes(b"x")
    with pytest.raises(InputError, match=r"found the suffix '\.vtk'; accepted are \.trk and \.tck"):
        read_tractogram(tmp_path / "lines.vtk")


def test_another_digest_is_refused(tmp_path, streamlines):
    path = save(tmp_path / "lines.tck", streamlines)
    with pytest.raises(InputError, match=r"found SHA-256 [0-9a-f]{64}; accepted is 0000"):
        read_tractogram(path, "0" * 64)


@pytest.mark.parametrize("name", ["lines.trk", "lines.tck"])
@pytest.mark.parametrize("part", [0.0, 0.01, 0.6, 0.999])
def test_a_truncated_file_is_refused(tmp_path, streamlines, name, part):
    path = save(tmp_path / name, streamlines)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])
    with pytest.raises(InputError, match="found no whole tractogram"):
        read_tractogram(path)


def test_a_file_cut_between_streamlines_is_refused(tmp_path, streamlines):
    path = save(tmp_path / "lines.trk", streamlines)
    one = 4 + 3 * 12  # number of points, then three float32 triples
    path.write_bytes(path.read_bytes()[: -5 * one])
    with pytest.raises(InputError, match=f"{len(streamlines) - 5} of {len(streamlines)} streamlines"):
        read_tractogram(path)


@pytest.mark.parametrize("name", ["lines.trk", "lines.tck"])
def test_a_foreign_file_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"no tractogram at all " * 200)
    with pytest.raises(InputError, match="found no whole tractogram"):
        read_tractogram(path)


def test_a_file_without_streamlines_is_refused(tmp_path):
    with pytest.raises(InputError, match="found no streamlines"):
        read_tractogram(save(tmp_path / "none.trk", []))


def test_points_that_are_no_numbers_are_refused(tmp_path, streamlines):
    broken = [line.copy() for line in streamlines]
    broken[7][1, 2] = np.nan
    with pytest.raises(InputError, match="not finite in streamline 7"):
        read_tractogram(save(tmp_path / "lines.trk", broken))


@pytest.mark.parametrize(
    "elsewhere",
    [
        pytest.param(lambda p: p * np.float32([-1, -1, 1]), id="LPS read as RAS"),
        pytest.param(lambda p: p + np.float32([98, 134, 72]), id="voxel coordinates"),
        pytest.param(lambda p: p / 1000, id="metres"),
    ],
)
def test_another_space_is_refused_with_what_was_found(tmp_path, streamlines, elsewhere):
    path = save(tmp_path / "lines.trk", [elsewhere(line) for line in streamlines])
    with pytest.raises(
        InputError, match=r"not in MNI152 space .* bounding box x -?\d+ to -?\d+.* at least 95% and 55%"
    ):
        read_tractogram(path)
