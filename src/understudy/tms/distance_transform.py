"""Exact Euclidean distances on a grid: the squared distance of every voxel from the nearest voxel of a kind.

One axis after the other, after Meijster et al. 2000 (doi 10.1007/0-306-47025-X_36), in whole numbers: several times as
fast as scipy's transform, which finds the nearest voxel itself, and with its values to the last bit.
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def _along_z(mask, far):
    """(nx, ny, nz) int32: distance along z from the nearest voxel that is not in the mask, ``far`` without one."""
    found = np.empty(mask.shape, np.int32)
    for x in range(mask.shape[0]):
        for y in range(mask.shape[1]):
            away = far
            for z in range(mask.shape[2]):
                away = min(away + 1, far) if mask[x, y, z] else 0
                found[x, y, z] = away
            away = far
            for z in range(mask.shape[2] - 1, -1, -1):
                away = min(away + 1, far) if mask[x, y, z] else 0
                found[x, y, z] = min(found[x, y, z], away)
    return found


@numba.njit(cache=True)
def _lowest(height, at, start, found):
    """Least of ``height[i] + (n - i)**2`` over i for every n, in place; the other arrays are room to work in."""
    last = 0
    at[0], start[0] = 0, 0
    for n in range(1, height.size):
        while last >= 0:
            far = start[last] - at[last]
            near = start[last] - n
            if height[at[last]] + far * far <= height[n] + near * near:
                break
            last -= 1
        if last < 0:
            last, at[0], start[0] = 0, n, 0
            continue
        i = at[last]
        # The first place where the parabola over n lies below that over i.
        border = 1 + (n * n - i * i + height[n] - height[i]) // (2 * (n - i))
        if border < height.size:
            last += 1
            at[last], start[last] = n, border
    for n in range(height.size - 1, -1, -1):
        found[n] = height[at[last]] + (n - at[last]) ** 2
        if n == start[last]:
            last -= 1
    height[:] = found


@numba.njit(cache=True)
def _squared(mask, far):
    found = _along_z(mask, far)
    longest = max(mask.shape[0], mask.shape[1])
    at, start = np.empty(longest, np.int64), np.empty(longest, np.int64)
    room = np.empty(longest, np.int64)
    height = np.empty(mask.shape[1], np.int64)
    for x in range(mask.shape[0]):
        for z in range(mask.shape[2]):
            for y in range(mask.shape[1]):
                height[y] = np.int64(found[x, y, z]) ** 2
            _lowest(height, at, start, room[: height.size])
            for y in range(mask.shape[1]):
                found[x, y, z] = height[y]
    height = np.empty(mask.shape[0], np.int64)
    for y in range(mask.shape[1]):
        for z in range(mask.shape[2]):
            for x in range(mask.shape[0]):
                height[x] = found[x, y, z]
            _lowest(height, at, start, room[: height.size])
            for x in range(mask.shape[0]):
                found[x, y, z] = height[x]
    return found


def squared_distance(mask: np.ndarray) -> np.ndarray:
    """Squared distance of each voxel of a mask from the nearest voxel outside it.

    Parameters
    ----------
    mask : (nx, ny, nz) bool.

    Returns
    -------
    (nx, ny, nz) int32, voxels squared, 0 outside the mask; where the mask is everything, more than the grid's diagonal.
    """
    return _squared(np.ascontiguousarray(mask), sum(mask.shape))
