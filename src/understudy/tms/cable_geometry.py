"""Areas and axial resistances of a section by NEURON's rule: frusta between measured points, cut at half segments.

NEURON keeps measured points as single-precision numbers, so `as_neuron_keeps` rounds them; then the arrays here equal
NEURON's to rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from understudy.errors import InputError


class SegmentGeometry(NamedTuple):
    """n segments of one section.

    area (n,) um2, mean diameter (n,) um, resistance (n, 2) MOhm of the first and second half of each segment,
    centre (n, 3) um, middle (n,) um along the section, end (3,) um.
    """

    area: np.ndarray
    diameter: np.ndarray
    resistance: np.ndarray
    centre: np.ndarray
    middle: np.ndarray
    end: np.ndarray


def as_neuron_keeps(points: np.ndarray, diameters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 3) and diameters (n,) rounded to single precision, points that then coincide left out."""
    points, diameters = np.asarray(points, dtype=np.float32), np.asarray(diameters, dtype=np.float32)
    keep = np.append(True, np.any(points[1:] != points[:-1], axis=1))
    return points[keep], diameters[keep]


def arc_length(points: np.ndarray) -> np.ndarray:
    """(n,) um along (n, 3) points; differences are taken in the precision of the points, as NEURON does."""
    step = np.diff(points, axis=0).astype(float)
    return np.append(0.0, np.cumsum(np.sqrt(step[:, 0] ** 2 + step[:, 1] ** 2 + step[:, 2] ** 2)))


def segments_of(length_um: float, segment_um: float) -> int:
    """Odd number of segments: 1 + 2 int(length / segment_um) (ModelDB 241165, template.hoc, with 40 um)."""
    return 1 + 2 * int(length_um / segment_um)


def segment_geometry(
    points: np.ndarray, diameters: np.ndarray, segments: int, resistivity_ohm_cm: float
) -> SegmentGeometry:
    """Integrate area, diameter and axial resistance over the frusta of each half segment.

    A frustum of length l between diameters a and b has the area pi/2 (a + b) sqrt(l^2 + ((a - b)/2)^2) and the axial
    resistance 4 R l / (pi a b).

    Parameters
    ----------
    points : (n, 3) um and diameters (n,) um as `as_neuron_keeps` gives them.
    segments : number of segments of equal length.

    Raises
    ------
    InputError : fewer than two different points, or a diameter that is not positive.
    """
    if len(points) < 2:
        raise InputError(f"section: found {len(points)} different points, accepted: at least 2")
    if not np.all(diameters > 0):
        raise InputError(f"section: found a diameter of {np.min(diameters)} um, accepted: greater than 0")
    arc = arc_length(points)
    diameter = diameters.astype(float)
    boundary = np.arange(2 * segments + 1) * (arc[-1] / (2 * segments))
    boundary[-1] = arc[-1]
    at = np.concatenate([arc, boundary[1:-1]])
    width = np.concatenate([diameter, np.interp(boundary[1:-1], arc, diameter)])
    order = np.argsort(at, kind="stable")
    at, width = at[order], width[order]
    length, first, second = np.diff(at), width[:-1], width[1:]
    half = np.minimum(np.searchsorted(boundary, 0.5 * (at[:-1] + at[1:]), side="right") - 1, 2 * segments - 1)
    slant = np.sqrt(length**2 + (0.5 * (first - second)) ** 2)
    area = np.bincount(half, 0.5 * np.pi * (first + second) * slant, 2 * segments)
    mean = np.bincount(half, 0.5 * (first + second) * length, 2 * segments)
    # ohm cm * um / um2 = 1e4 ohm = 1e-2 MOhm
    resistance = 0.04 * resistivity_ohm_cm / np.pi * np.bincount(half, length / (first * second), 2 * segments)
    middle = boundary[1::2]
    centre = np.stack([np.interp(middle, arc, points[:, axis].astype(float)) for axis in range(3)], axis=1)
    return SegmentGeometry(
        area=area.reshape(segments, 2).sum(axis=1),
        diameter=mean.reshape(segments, 2).sum(axis=1) / (arc[-1] / segments),
        resistance=resistance.reshape(segments, 2),
        centre=centre,
        middle=middle,
        end=points[-1].astype(float),
    )
