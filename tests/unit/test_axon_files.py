"""Files between the axon study's stages: what comes back, and equal content in equal bytes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from understudy.axon.files import VoxelMaps, read_injury_map, read_voxel_maps, write_voxel_maps
from understudy.errors import InputError


@pytest.fixture
def maps() -> VoxelMaps:
    values = np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 6)
    values[1, 2] = np.nan
    return VoxelMaps({"tau_failed": values[1], "female/tau_failed_mean": values[0]}, impact=3)


def test_voxel_maps_come_back_in_order(tmp_path: Path, maps: VoxelMaps) -> None:
    write_voxel_maps(tmp_path / "maps.h5", maps)
    found = read_voxel_maps(tmp_path / "maps.h5")
    assert list(found.values) == list(maps.values) and found.impact == 3
    for name, values in maps.values.items():
        np.testing.assert_array_equal(found.values[name], values)


def test_equal_voxel_maps_give_equal_bytes_at_any_time(tmp_path: Path, maps: VoxelMaps) -> None:
    write_voxel_maps(tmp_path / "first.h5", maps)
    # HDF5 stores times in whole seconds, where it stores them.
    time.sleep(1.1)
    write_voxel_maps(tmp_path / "second.h5", maps)
    assert (tmp_path / "first.h5").read_bytes() == (tmp_path / "second.h5").read_bytes()


def test_a_file_of_another_kind_is_refused(tmp_path: Path, maps: VoxelMaps) -> None:
    write_voxel_maps(tmp_path / "maps.h5", maps)
    with pytest.raises(InputError, match=r"maps\.h5: found content 'voxel maps', schema 1; accepted is 'injury map'"):
        read_injury_map(tmp_path / "maps.h5")
