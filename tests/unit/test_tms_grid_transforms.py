"""Distances and warps on grids, to the last bit as scipy's slower ones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from understudy.tms.distance_transform import squared_distance
from understudy.tms.head_model import CONDUCTIVITY_S_PER_M
from understudy.tms.head_variants import second_head, unwarp_points, warp_volumes


@pytest.mark.parametrize(
    ("shape", "share"), [((5, 7, 9), 0.5), ((30, 20, 40), 0.98), ((1, 1, 6), 0.5), ((24, 25, 20), 0.9995)]
)
def test_distances_are_those_of_scipy(shape: tuple[int, int, int], share: float) -> None:
    generator = np.random.default_rng(3)
    for _ in range(5):
        mask = generator.random(shape) < share
        mask[0, 0, generator.integers(shape[2])] = False
        assert np.array_equal(np.sqrt(squared_distance(mask), dtype=float), ndimage.distance_transform_edt(mask))


def test_without_an_outside_every_distance_is_beyond_the_grid() -> None:
    assert squared_distance(np.ones((2, 3, 4), dtype=bool)).min() >= 2**2 + 3**2 + 4**2


def test_a_warped_volume_is_that_of_scipy() -> None:
    variant = second_head(conductivity=CONDUCTIVITY_S_PER_M)
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = -90, -120, -70
    volume = np.random.default_rng(4).random((22, 27, 21)).astype(np.float32)
    found = warp_volumes({"twice": 2 * volume, "once": volume}, affine, variant, coarse=4)
    assert list(found) == ["twice", "once"] and np.array_equal(found["twice"], 2 * found["once"])

    grid = np.stack(np.meshgrid(*(np.arange(0, n + 4, 4) for n in volume.shape), indexing="ij"), axis=-1)
    source = (unwarp_points(grid.reshape(-1, 3) * 8.0 + affine[:3, 3], variant) - affine[:3, 3]) / 8.0
    source = source.reshape(grid.shape)
    at = np.stack(np.meshgrid(*(np.arange(n) / 4 for n in volume.shape), indexing="ij")).reshape(3, -1)
    index = [ndimage.map_coordinates(source[..., axis], at, order=1) for axis in range(3)]
    expected = ndimage.map_coordinates(volume, index, order=1, mode="constant").reshape(volume.shape)
    assert found["once"].dtype == np.float32 and np.array_equal(found["once"], expected)
    outside = np.isin(found["once"], 0).mean()
    assert 0.01 < outside < 0.9, "some of the other head lies beyond the grid"
