"""Dendrites with a coaxial ER as trees of finite volumes.

The ER is a cylinder on the axis of the dendrite. Per unit length the cytosol has the cross-section ``pi (R2 - r2)``,
the ER ``pi r2``, the plasma membrane the area ``2 pi R``, the ER membrane ``2 pi r``.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

from understudy.calcium.parameters import Parameters
from understudy.errors import InputError


class CoarseGridWarning(UserWarning):
    """The grid does not resolve the front of the wave: its speed is wrong, or it stops where the real one would not."""


@dataclass(frozen=True)
class Cable:
    """N finite volumes of a dendrite, unbranched or a tree; a parent comes before its children.

    Attributes
    ----------
    parent : (N,) int64, -1 at the root (node 0).
    position_um : (N,) distance from the root's end along the tree.
    cytosol_um3, er_um3 : (N,) volumes.
    er_membrane_um2, plasma_membrane_um2 : (N,) areas.
    cytosol_um, er_um : (N,) cross-section over distance to the parent, 0 at the root: times a diffusion coefficient
        the coupling between the two.
    inlet_um2 : cytosolic cross-section of the root's end, where the stimulus enters.
    spacing_um : largest distance between neighbours.
    """

    parent: np.ndarray
    position_um: np.ndarray
    cytosol_um3: np.ndarray
    er_um3: np.ndarray
    er_membrane_um2: np.ndarray
    plasma_membrane_um2: np.ndarray
    cytosol_um: np.ndarray
    er_um: np.ndarray
    inlet_um2: float
    spacing_um: float

    def __len__(self) -> int:
        return len(self.parent)

    def nearest(self, position_um: float) -> int:
        """Number of the node nearest to a distance from the root."""
        return int(np.argmin(np.abs(self.position_um - position_um)))


def _check_radii(radius: np.ndarray, er_radius: np.ndarray) -> None:
    for name, values in (("radius_um", radius), ("er_radius_um", er_radius)):
        bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        if len(bad):
            raise InputError(f"{name}: found {values[bad[0]]:g} in element {bad[0]}, accepted are positive numbers")
    wide = np.flatnonzero(er_radius >= radius)
    if len(wide):
        k = wide[0]
        raise InputError(
            f"er_radius_um: found {er_radius[k]:g} in a dendrite of radius {radius[k]:g} (element {k}), accepted is an "
            "ER narrower than the dendrite"
        )


def uniform_cable(length_um: float, radius_um: float, er_radius_um: float, n: int) -> Cable:
    """Unbranched cable of ``n`` equal cells; unknowns stand in the middle of the cells."""
    if not (math.isfinite(length_um) and length_um > 0):
        raise InputError(f"length_um: found {length_um:g}, accepted is a positive number")
    if n < 2:
        raise InputError(f"n: found {n} cells, accepted are at least 2")
    _check_radii(np.array([radius_um], dtype=float), np.array([er_radius_um], dtype=float))
    dx = length_um / n
    er, cytosol = math.pi * er_radius_um**2, math.pi * (radius_um**2 - er_radius_um**2)
    coupled = np.where(np.arange(n) > 0, 1 / dx, 0.0)
    return Cable(
        parent=np.arange(-1, n - 1),
        position_um=(np.arange(n) + 0.5) * dx,
        cytosol_um3=np.full(n, cytosol * dx),
        er_um3=np.full(n, er * dx),
        er_membrane_um2=np.full(n, 2 * math.pi * er_radius_um * dx),
        plasma_membrane_um2=np.full(n, 2 * math.pi * radius_um * dx),
        cytosol_um=cytosol * coupled,
        er_um=er * coupled,
        inlet_um2=cytosol,
        spacing_um=dx,
    )


def branched_cable(
    parent: np.ndarray, length_um: np.ndarray, radius_um: np.ndarray, er_radius_um: np.ndarray, spacing_um: float
) -> Cable:
    """Tree of cylinders, each divided into equal pieces no longer than ``spacing_um``.

    Unknowns stand at the ends of the pieces, so that a branch point is a node like any other: its volume is made of the
    halves of the pieces that meet there, and what leaves one branch enters the others.

    Parameters
    ----------
    parent : (M,) number of the element at whose far end an element begins, less than its own number; -1 for those that
        begin at the root (all at one point).
    length_um, radius_um, er_radius_um : (M,) or a number.

    Raises
    ------
    InputError : elements that are no tree, lengths or radii that are not positive, an ER as wide as the dendrite.
    """
    parent = np.asarray(parent, dtype=np.int64)
    elements = len(parent)
    length, radius, er_radius = (
        np.broadcast_to(np.asarray(x, dtype=float), (elements,)) for x in (length_um, radius_um, er_radius_um)
    )
    if elements == 0:
        raise InputError("parent: found no element, accepted is at least one")
    for k in range(elements):
        if not -1 <= parent[k] < k:
            raise InputError(
                f"parent: found {parent[k]} for element {k}, accepted is -1 or an earlier element's number (a tree)"
            )
    bad = np.flatnonzero(~(np.isfinite(length) & (length > 0)))
    if len(bad):
        raise InputError(f"length_um: found {length[bad[0]]:g} in element {bad[0]}, accepted are positive numbers")
    if not (math.isfinite(spacing_um) and spacing_um > 0):
        raise InputError(f"spacing_um: found {spacing_um:g}, accepted is a positive number")
    _check_radii(radius, er_radius)

    # Depth first, so that the child that follows its parent needs no work space in the solver.
    children: list[list[int]] = [[] for _ in range(elements)]
    roots = []
    for k in range(elements):
        (children[parent[k]] if parent[k] >= 0 else roots).append(k)
    node_parent, piece_um, piece_of = [-1], [0.0], [-1]
    last_node = np.zeros(elements, dtype=np.int64)
    stack = roots[::-1]
    while stack:
        k = stack.pop()
        pieces = max(1, math.ceil(length[k] / spacing_um - 1e-9))
        at = last_node[parent[k]] if parent[k] >= 0 else 0
        for _ in range(pieces):
            node_parent.append(int(at))
            piece_um.append(length[k] / pieces)
            piece_of.append(k)
            at = len(node_parent) - 1
        last_node[k] = at
        stack.extend(children[k][::-1])

    up, piece = np.array(node_parent), np.array(piece_um)
    of = np.array(piece_of)
    cytosol = np.where(of >= 0, math.pi * (radius[of] ** 2 - er_radius[of] ** 2), 0.0)
    er = np.where(of >= 0, math.pi * er_radius[of] ** 2, 0.0)

    def gather(per_um: np.ndarray) -> np.ndarray:
        """Halves of the pieces that meet at each node."""
        half = 0.5 * per_um * piece
        total = half.copy()
        np.add.at(total, up[1:], half[1:])
        return total

    position = np.zeros(len(up))
    for i in range(1, len(up)):
        position[i] = position[up[i]] + piece[i]
    inverse = np.divide(1.0, piece, out=np.zeros(len(up)), where=piece > 0)
    at_root = of[1:][up[1:] == 0]
    return Cable(
        parent=up.astype(np.int64),
        position_um=position,
        cytosol_um3=gather(cytosol),
        er_um3=gather(er),
        er_membrane_um2=gather(np.where(of >= 0, 2 * math.pi * er_radius[of], 0.0)),
        plasma_membrane_um2=gather(np.where(of >= 0, 2 * math.pi * radius[of], 0.0)),
        cytosol_um=cytosol * inverse,
        er_um=er * inverse,
        inlet_um2=float(math.pi * (radius[at_root] ** 2 - er_radius[at_root] ** 2).sum()),
        spacing_um=float(piece.max()),
    )


def front_length_um(cable: Cable, parameters: Parameters) -> float:
    """How far calcium diffuses in the time in which open receptors release 1 uM: the width scale of a wave's front."""
    per_s = (
        parameters.ryanodine_um_per_s * parameters.rest_er_uM * float((cable.er_membrane_um2 / cable.cytosol_um3).max())
    )
    return math.sqrt(parameters.cytosol_diffusion_um2_per_s / per_s) if per_s > 0 else math.inf


RESOLVED = 1.5
"""Largest spacing over `front_length_um` without a warning.

Measured (`benchmarks/calcium.py`): at 1.5 lengths the speed is 2 % (strong receptors) to 8 % (weak ones) low, at 3
lengths 7 to 37 %; at 6 lengths weak receptors make no wave any more, at 9 those of the reference front, and strong ones
still do at 12.
"""


def warn_of_coarse_grid(cable: Cable, parameters: Parameters) -> None:
    """Warn where the grid does not resolve the front."""
    scale = front_length_um(cable, parameters)
    if cable.spacing_um > RESOLVED * scale * (1 + 1e-9):
        warnings.warn(
            f"spacing of nodes: found {cable.spacing_um:g} um, accepted as resolving a wave's front (its speed to a "
            f"few per cent) is up to {RESOLVED * scale:.3g} um here; from four times that the front may be pinned",
            CoarseGridWarning,
            stacklevel=3,
        )
