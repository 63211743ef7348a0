"""Other heads made from the template: a smooth warp, other thicknesses, other conductivities.

A sphere is no second head: in it the coil's field does not depend on conductivity and is nearly uniform over a cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numba
import numpy as np

from understudy.errors import InputError
from understudy.tms.cortex import Cortex

_CENTRE_MM = np.array([0.0, -18.0, 10.0])
_WAVES = 12
_SHORTEST_MM, _LONGEST_MM = 90.0, 200.0
_ITERATIONS = 30


@dataclass(frozen=True)
class HeadVariant:
    """How a head differs from the template.

    Attributes
    ----------
    scale : (3,) factors along x, y and z about the brain's middle.
    direction, wave : (w, 3) mm and (w, 3) rad/mm, and phase (w,): the displacement is the sum of
        direction sin(wave.x + phase).
    csf_factor, skull_factor : thickness of the shells over that of the template's head.
    conductivity : (6,) S/m, by tissue.
    """

    scale: np.ndarray
    direction: np.ndarray
    wave: np.ndarray
    phase: np.ndarray
    csf_factor: float
    skull_factor: float
    conductivity: np.ndarray


def second_head(
    *,
    conductivity: np.ndarray,
    displacement_mm: float = 5.0,
    scale: float = 0.08,
    thickness: float = 0.30,
    seed: int = 1,
) -> HeadVariant:
    """The head that nothing is trained on.

    Parameters
    ----------
    conductivity : (6,) S/m, by tissue.
    displacement_mm : root mean square of the smooth displacement over the brain, on top of the scaling.
    scale : the axes are scaled by 1 + scale, 1 - scale and 1 + scale / 2 in some order.
    thickness : CSF and skull are thicker by this share, one of them, and the other thinner.
    seed : of directions, waves and signs.

    Raises
    ------
    InputError
        If the warp would fold space (its gradient reaches 0.8).
    """
    generator = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0x48454144,)))
    factors = 1 + scale * generator.permutation([1.0, -1.0, 0.5])
    heading = generator.normal(size=(_WAVES, 3))
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    wave = heading * (2 * np.pi / generator.uniform(_SHORTEST_MM, _LONGEST_MM, size=(_WAVES, 1)))
    sign = generator.choice([-1.0, 1.0])
    raw = HeadVariant(
        factors,
        generator.normal(size=(_WAVES, 3)),
        wave,
        generator.uniform(0, 2 * np.pi, _WAVES),
        1 + sign * thickness,
        1 - sign * thickness,
        np.asarray(conductivity, dtype=float),
    )
    # An ellipsoid of the brain's size stands for the brain.
    inside = generator.normal(size=(4000, 3))
    inside *= (generator.uniform(size=(4000, 1)) ** (1 / 3)) / np.linalg.norm(inside, axis=1, keepdims=True)
    points = _CENTRE_MM + inside * (68.0, 85.0, 65.0)
    size = np.sqrt((displacement(points, raw) ** 2).sum(axis=1).mean())
    variant = replace(raw, direction=raw.direction * (displacement_mm / size))
    steepest = np.linalg.norm(_gradient(points, variant), ord=2, axis=(1, 2)).max()
    if steepest > 0.8:
        raise InputError(f"second_head.displacement_mm: found {displacement_mm:g}, which folds space; accepted is less")
    return variant


def displacement(points_mm: np.ndarray, variant: HeadVariant) -> np.ndarray:
    """Smooth displacement (N, 3) mm at points (N, 3) mm of the template."""
    return np.sin(points_mm @ variant.wave.T + variant.phase) @ variant.direction


def _gradient(points_mm: np.ndarray, variant: HeadVariant) -> np.ndarray:
    cosine = np.cos(points_mm @ variant.wave.T + variant.phase)
    return np.einsum("nw,wi,wj->nij", cosine, variant.direction, variant.wave)


def warp_points(points_mm: np.ndarray, variant: HeadVariant) -> np.ndarray:
    """Points (N, 3) mm of the template in the other head."""
    points_mm = np.asarray(points_mm, dtype=float)
    return _CENTRE_MM + variant.scale * (points_mm - _CENTRE_MM) + displacement(points_mm, variant)


def unwarp_points(points_mm: np.ndarray, variant: HeadVariant) -> np.ndarray:
    """Points (N, 3) mm of the other head in the template, by fixed-point iteration (1e-3 mm)."""
    points_mm = np.asarray(points_mm, dtype=float)
    found = _CENTRE_MM + (points_mm - _CENTRE_MM) / variant.scale
    for _ in range(_ITERATIONS):
        change = (points_mm - warp_points(found, variant)) / variant.scale
        found += change
        if np.abs(change).max(initial=0.0) < 1e-3:
            break
    return found


def warp_cortex(cortex: Cortex, variant: HeadVariant) -> Cortex:
    """The cortical surfaces in the other head."""
    return replace(cortex, white=warp_points(cortex.white, variant), pial=warp_points(cortex.pial, variant))


def warp_volumes(
    volumes: Mapping[str, np.ndarray], affine: np.ndarray, variant: HeadVariant, coarse: int = 4
) -> dict[str, np.ndarray]:
    """Volumes of the template, all on one grid, on that grid in the other head, float32.

    The inverse warp is found at every ``coarse``-th voxel and interpolated: it is smooth over 90 mm and more.
    """
    shape = next(iter(volumes.values())).shape
    axes = [np.arange(0, extent + coarse, coarse) for extent in shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    spacing = affine[0, 0]
    source = (unwarp_points(grid.reshape(-1, 3) * spacing + affine[:3, 3], variant) - affine[:3, 3]) / spacing
    source = source.reshape(grid.shape)
    return {
        name: _sampled(np.ascontiguousarray(volume, dtype=np.float32), source, coarse)
        for name, volume in volumes.items()
    }


@numba.njit(cache=True)
def _weights(place):
    """Voxel below a place on one axis, and the shares of it and the next; those of scipy's spline of first order."""
    low = int(place)
    first = 1.0 - (place - low)
    return low, first, 1.0 - first


@numba.njit(cache=True)
def _sampled(volume, source, coarse):
    """``volume`` at places (mx, my, mz, 3) given at every ``coarse``-th voxel and linear in between; 0 outside.

    Steps and their order are those of scipy's `map_coordinates`, so its values come out to the last bit.
    """
    warped = np.zeros(volume.shape, np.float32)
    at = np.empty(3)
    for x in range(volume.shape[0]):
        i, i0, i1 = _weights(x / coarse)
        for y in range(volume.shape[1]):
            j, j0, j1 = _weights(y / coarse)
            for z in range(volume.shape[2]):
                k, k0, k1 = _weights(z / coarse)
                for axis in range(3):
                    at[axis] = (
                        source[i, j, k, axis] * i0 * j0 * k0
                        + source[i, j, k + 1, axis] * i0 * j0 * k1
                        + source[i, j + 1, k, axis] * i0 * j1 * k0
                        + source[i, j + 1, k + 1, axis] * i0 * j1 * k1
                        + source[i + 1, j, k, axis] * i1 * j0 * k0
                        + source[i + 1, j, k + 1, axis] * i1 * j0 * k1
                        + source[i + 1, j + 1, k, axis] * i1 * j1 * k0
                        + source[i + 1, j + 1, k + 1, axis] * i1 * j1 * k1
                    )
                px, py, pz = at
                if not (
                    0 <= px < volume.shape[0] - 1 and 0 <= py < volume.shape[1] - 1 and 0 <= pz < volume.shape[2] - 1
                ):
                    continue
                a, a0, a1 = _weights(px)
                b, b0, b1 = _weights(py)
                c, c0, c1 = _weights(pz)
                warped[x, y, z] = (
                    volume[a, b, c] * a0 * b0 * c0
                    + volume[a, b, c + 1] * a0 * b0 * c1
                    + volume[a, b + 1, c] * a0 * b1 * c0
                    + volume[a, b + 1, c + 1] * a0 * b1 * c1
                    + volume[a + 1, b, c] * a1 * b0 * c0
                    + volume[a + 1, b, c + 1] * a1 * b0 * c1
                    + volume[a + 1, b + 1, c] * a1 * b1 * c0
                    + volume[a + 1, b + 1, c + 1] * a1 * b1 * c1
                )
    return warped
