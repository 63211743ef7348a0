"""Arbours in space: a branching plan laid out with angles, straightness and a territory to stay in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numba
import numpy as np
from scipy.special import ndtri

from understudy.tms.branching_plan import BranchingPlan

_STEP_um = 8.0
_SHORT_STEP_um = 2.5
# Along this path a wriggle is forgotten, um (estimate).
_WRIGGLE_um = 12.0
_AZIMUTHS = 12
# Turn per um of path and unit of preference for up; how far ahead a branch sees, um (estimates).
_TROPISM_per_um = 0.0012
_FORESIGHT_um = 600.0
_LEAST_ANGLE_rad, _MOST_ANGLE_rad = 0.2, 2.6


@dataclass(frozen=True)
class Territory:
    """An ellipsoid that holds an arbour; its upper and lower half may differ.

    Attributes
    ----------
    centre : (3,) um.
    half_axes : x, y, up and down, um.
    ceiling_um : height that no branch passes (below the pia).
    """

    centre: Sequence[float]
    half_axes: Sequence[float]
    ceiling_um: float

    def as_array(self) -> np.ndarray:
        """(8,) for the kernel."""
        return np.array([*self.centre, *self.half_axes, self.ceiling_um], dtype=float)


@dataclass(frozen=True)
class Shape:
    """How branches run.

    Attributes
    ----------
    angle_deg : quartiles of the angle between daughters.
    straightness : 10 and 50 percentiles of chord over length of a section.
    outward : how much a branch prefers to leave the vertical through the arbour's root (``radial`` 0) or the root (1).
    drift : slow change of direction, rad per 100 um.
    steering_per_um : turn back per um of path and unit of ellipsoidal distance outside the territory.
    trunk_direction : (3,) the way of the main stem.
    """

    angle_deg: Sequence[float]
    straightness: Sequence[float]
    outward: float
    radial: float
    drift: float
    steering_per_um: float
    trunk_direction: Sequence[float] = (0.0, 0.0, 1.0)


def grown_points(
    plan: BranchingPlan,
    starts: np.ndarray,
    directions: np.ndarray,
    territory: Territory,
    shape: Shape,
    pull: np.ndarray,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Points (n, 3) um of each section of the plan, the first being the parent's last.

    Parameters
    ----------
    starts, directions : (stems, 3) where the stems begin, um, and unit vectors of where they go.
    pull : (S,) preference of each section for up (positive) or down, in units of the other costs of a direction.
    """
    count = len(plan.parent)
    steps = np.maximum(2, np.ceil(plan.length / _STEP_um)).astype(np.int64)
    steps = np.where(plan.length / steps < _SHORT_STEP_um, 1 + (plan.length > 2 * _SHORT_STEP_um), steps)
    first = np.concatenate([[0], np.cumsum(steps + 1)])
    branching = plan.leaves > 1
    angle = np.zeros(count)
    angle[branching] = np.radians(_drawn(int(branching.sum()), shape.angle_deg, generator))
    _widen_trunk_angles(angle, branching & plan.trunk, branching & ~plan.trunk)
    low, middle = shape.straightness
    # Chord over length is about 1 - s^2 for small wriggles of s rad in each of two directions.
    # Short sections end before they have wriggled much, so the widest are set a quarter wider.
    typical, widest = np.sqrt(1.0 - middle), 1.25 * np.sqrt(1.0 - low)
    spread = np.log(widest / typical) / 1.2816
    wriggle = np.minimum(typical * np.exp(spread * _drawn(count, (-0.6745, 0.0, 0.6745), generator)), 0.9)
    points = _grow(
        plan.parent,
        plan.trunk,
        plan.leaves,
        plan.length,
        _mean_reach(plan),
        steps,
        first,
        np.asarray(starts, dtype=float),
        np.asarray(directions, dtype=float),
        np.asarray(shape.trunk_direction, dtype=float),
        territory.as_array(),
        shape.outward,
        shape.radial,
        np.asarray(pull, dtype=float),
        shape.drift,
        shape.steering_per_um,
        angle,
        wriggle,
        generator.uniform(0.0, 2.0 * np.pi, size=(count, _AZIMUTHS)),
        generator.gumbel(size=(count, _AZIMUTHS)),
        generator.standard_normal((first[-1], 6)),
    )
    return [points[first[i] : first[i + 1]] for i in range(count)]


def tapered_diameters(
    plan: BranchingPlan,
    points: list[np.ndarray],
    quantiles: Sequence[float],
    stem_um: float,
    trunk_rate: float,
    trunk_exit_um: float,
    generator: np.random.Generator,
) -> list[np.ndarray]:
    """Diameters (n,) um at the points of each section: thick near the soma and on the trunk, thin at the ends.

    Points are ranked by an effective distance from the soma: on the trunk ``trunk_rate`` per um, elsewhere 1 per um,
    and ``trunk_exit_um`` for leaving the trunk, with chance between branches. Ranks become diameters of the
    distribution.

    Parameters
    ----------
    quantiles : 5, 25, 50, 75 and 95 percentiles of diameters over points, um.
    stem_um : diameter at the first point of a stem.
    """
    distance: list[np.ndarray] = []
    speed = np.ones(len(points))
    for i, chain in enumerate(points):
        before = plan.parent[i]
        begin = distance[before][-1] if before >= 0 else 0.0
        leaves_trunk = before >= 0 and plan.trunk[before] and not plan.trunk[i]
        if before < 0 or leaves_trunk:
            speed[i] = np.exp(0.4 * generator.standard_normal())
            begin += trunk_exit_um * generator.uniform(0.6, 1.4) if leaves_trunk else 0.0
        elif before >= 0:
            speed[i] = speed[before] * np.exp(0.15 * generator.standard_normal())
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(chain, axis=0), axis=1))])
        distance.append(begin + along * (trunk_rate if plan.trunk[i] else speed[i]))
    flat = np.concatenate(distance)
    rank = np.empty(len(flat))
    rank[np.argsort(flat, kind="stable")] = (np.arange(len(flat)) + 0.5) / len(flat)
    q5, q25, q50, q75, q95 = quantiles
    thickest = max(stem_um, q95)
    table = (0.9 * q5, q5, q25, q50, q75, q95, thickest)
    values = np.interp(1.0 - rank, (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0), table)
    ends = np.cumsum([len(chain) for chain in points])[:-1]
    return np.split(values, ends)


def _drawn(count: int, quartiles: Sequence[float], generator: np.random.Generator) -> np.ndarray:
    """One value from each of ``count`` equally likely parts of a distribution, normal on either side of its median."""
    low, middle, high = quartiles
    normal = generator.permutation(ndtri((np.arange(count) + generator.uniform(0.02, 0.98, size=count)) / count))
    return middle + normal * np.where(normal < 0, middle - low, high - middle) / 0.6745


def _widen_trunk_angles(angle: np.ndarray, on_trunk: np.ndarray, elsewhere: np.ndarray) -> None:
    """Side branches leave a trunk at wider angles than others branch: exchange what they drew, in place."""
    narrow = [i for i in np.flatnonzero(on_trunk) if angle[i] < np.median(angle[on_trunk | elsewhere])]
    wide = sorted(np.flatnonzero(elsewhere), key=lambda i: -angle[i])
    for i, j in zip(narrow, wide, strict=False):
        angle[i], angle[j] = angle[j], angle[i]


def _mean_reach(plan: BranchingPlan) -> np.ndarray:
    """(S,) um, mean path from each section's start to the terminals behind it: how far a direction carries."""
    reach = plan.length.copy()
    behind = np.zeros(len(reach))
    for i in range(len(reach) - 1, -1, -1):
        reach[i] = plan.length[i] + behind[i] / plan.leaves[i]
        before = plan.parent[i]
        if before >= 0:
            behind[before] += reach[i] * plan.leaves[i]
    return reach


@numba.njit(cache=True)
def _outside(x, y, z, land):
    """Ellipsoidal distance from the territory's centre; 1 at its border."""
    height = land[5] if z > land[2] else land[6]
    return np.sqrt(((x - land[0]) / land[3]) ** 2 + ((y - land[1]) / land[4]) ** 2 + ((z - land[2]) / height) ** 2)


@numba.njit(cache=True)
def _unit(vector):
    return vector / max(np.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2), 1e-12)


@numba.njit(cache=True)
def _cost(at, direction, reach, land, root, outward, radial, pull):
    """What speaks against sending a branch of this reach from here in this direction."""
    far = min(reach, _FORESIGHT_um)
    x, y, z = at[0] + far * direction[0], at[1] + far * direction[1], at[2] + far * direction[2]
    over = max(_outside(x, y, z, land) - 0.8, 0.0)
    above = max(z - land[7], 0.0) / 40.0
    away = at - root
    away[2] *= radial
    return 12.0 * over * over + above * above - outward * (direction @ _unit(away)) - direction[2] * pull


@numba.njit(cache=True)
def _walk(out, begin, steps, length, start, direction, wriggle, drift, steering, pull, land, noise):
    """One section: fixed steps along a direction that wriggles, drifts and is bent back into the territory."""
    step = length / steps
    keep = np.exp(-step / _WRIGGLE_um)
    fresh = wriggle * np.sqrt(1.0 - keep * keep)
    slow = drift * np.sqrt(step / 100.0)
    base = direction.copy()
    shake = np.zeros(3)
    at = start.copy()
    out[begin] = at
    for k in range(1, steps + 1):
        over = _outside(at[0], at[1], at[2], land)
        if over > 1.0:
            height = land[5] if at[2] > land[2] else land[6]
            inward = np.empty(3)
            inward[0] = -(at[0] - land[0]) / land[3] ** 2
            inward[1] = -(at[1] - land[1]) / land[4] ** 2
            inward[2] = -(at[2] - land[2]) / height**2
            base = _unit(base + steering * min(over - 0.8, 1.0) * step * _unit(inward))
        base[2] += _TROPISM_per_um * step * pull
        if at[2] > land[7] and base[2] > 0.0:
            base[2] *= 0.6
            base = _unit(base)
        base = _unit(base + slow * noise[begin + k, :3])
        shake = keep * shake + fresh * noise[begin + k, 3:]
        at = at + step * _unit(base + shake - (shake @ base) * base)
        out[begin + k] = at
    return base


@numba.njit(cache=True)
def _tilted(axis, side, angle):
    return np.cos(angle) * axis + np.sin(angle) * side


@numba.njit(cache=True)
def _grow(
    parent,
    trunk,
    leaves,
    length,
    reach,
    steps,
    first,
    starts,
    directions,
    trunk_direction,
    land,
    outward,
    radial,
    pull,
    drift,
    steering,
    angle,
    wriggle,
    azimuth,
    chance,
    noise,
):
    count = len(parent)
    out = np.empty((first[-1], 3))
    aim = np.empty((count, 3))
    children = np.full((count, 2), -1)
    for i in range(count):
        if parent[i] >= 0:
            children[parent[i], 0 if children[parent[i], 0] < 0 else 1] = i
    stem = 0
    root = np.zeros(3)
    for i in range(count):
        if parent[i] < 0:
            start, aim[i], root = starts[stem], directions[stem], starts[stem]
            stem += 1
        else:
            start = out[first[parent[i] + 1] - 1]
        heading = _walk(
            out, first[i], steps[i], length[i], start, aim[i], wriggle[i], drift, steering, pull[i], land, noise
        )
        one, other = children[i, 0], children[i, 1]
        if one < 0:
            continue
        end = out[first[i + 1] - 1]
        if trunk[other] and not trunk[one]:
            one, other = other, one
        # The daughter with more terminals behind it bends less; a trunk goes on.
        share = leaves[other] / (leaves[one] + leaves[other])
        theta = min(max(angle[i], _LEAST_ANGLE_rad), _MOST_ANGLE_rad)
        bend = theta * (0.25 + 0.5 * share)
        axis = heading
        if trunk[one]:
            axis = _unit(0.6 * heading + 0.4 * trunk_direction + 0.08 * noise[first[i], :3])
            bend = 0.0
        seed = np.array([1.0, 0.0, 0.0]) if abs(axis[0]) < 0.8 else np.array([0.0, 1.0, 0.0])
        across = _unit(seed - (seed @ axis) * axis)
        third = np.cross(axis, across)
        best = 1e30
        for k in range(azimuth.shape[1]):
            side = np.cos(azimuth[i, k]) * across + np.sin(azimuth[i, k]) * third
            left, right = _tilted(axis, side, bend), _tilted(axis, -side, theta - bend)
            cost = _cost(end, right, reach[other], land, root, outward, radial, pull[other])
            if not trunk[one]:
                cost += _cost(end, left, reach[one], land, root, outward, radial, pull[one])
            cost -= 0.3 * chance[i, k]
            if cost < best:
                best = cost
                aim[one] = left
                aim[other] = right
    return out
