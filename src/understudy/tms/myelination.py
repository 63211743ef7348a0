"""Myelin on an axon: each stretch between branch points becomes internodes and nodes of Ranvier.

Rules of Aberra et al. 2018 (ModelDB 241165, editMorphology.hoc and myelinBiophysics.hoc).
"""

from __future__ import annotations

import numpy as np

from understudy.tms.cable_geometry import arc_length

# Found: ModelDB 241165, editMorphology.hoc.
INTERNODE_PER_DIAMETER = 100.0
TERMINAL_INTERNODE_PER_DIAMETER = 70.0
NODE_UM = 1.0
LEAST_DIAMETER_UM = 0.2
LEAST_INTERNODE_UM = 20.0
INITIAL_SEGMENT_UM = 50.0
"""Length of the unmyelinated axon before the first internode."""

Stretch = tuple[np.ndarray, np.ndarray]
"""Points (n, 3) um and diameters (n,) um."""


def g_ratio(diameter_um: np.ndarray) -> np.ndarray:
    """Axon diameter over diameter with myelin: cubic fit to Micheva et al. 2016, kept within 0.4-0.8."""
    d = np.asarray(diameter_um, dtype=float)
    return np.clip(((0.6425 * d - 1.778) * d + 1.749) * d + 0.1518, 0.4, 0.8)


def cut(points: np.ndarray, diameters: np.ndarray, start_um: float, end_um: float) -> Stretch:
    """The part of a path between two distances along it; the ends are interpolated."""
    arc = arc_length(points)
    # Measured points closer to a cut than this are the cut's own.
    margin = 1e-3
    inner = (arc > start_um + margin) & (arc < end_um - margin)
    at = np.concatenate([[start_um], arc[inner], [min(end_um, arc[-1])]])
    place = np.stack([np.interp(at, arc, points[:, axis]) for axis in range(3)], axis=1)
    return place, np.interp(at, arc, diameters)


def internodes(length_um: float, diameter_um: float, terminal: bool) -> int:
    """How many pairs of internode and node fit; 0 leaves the stretch unmyelinated."""
    if diameter_um < LEAST_DIAMETER_UM:
        return 0
    ratio = TERMINAL_INTERNODE_PER_DIAMETER if terminal else INTERNODE_PER_DIAMETER
    return int(length_um / (ratio * diameter_um + NODE_UM)) or int(length_um / (LEAST_INTERNODE_UM + NODE_UM))


def wrap(points: np.ndarray, diameters: np.ndarray, count: int) -> list[tuple[str, Stretch]]:
    """``count`` internodes, each followed by a node, on a path whose length is kept: ("myelin" or "node", stretch)."""
    length = arc_length(points)[-1]
    period = length / count
    parts = []
    for i in range(count):
        place, inner = cut(points, diameters, i * period, (i + 1) * period - NODE_UM)
        parts.append(("myelin", (place, inner / g_ratio(inner))))
        parts.append(("node", cut(points, diameters, (i + 1) * period - NODE_UM, (i + 1) * period)))
    return parts


def myelinate(
    points: np.ndarray, diameters: np.ndarray, start_diameter_um: float, *, initial: bool, terminal: bool
) -> list[tuple[str, Stretch]]:
    """Split one axon section into ("axon_initial" | "myelin" | "node" | "unmyelinated", stretch) from its start on.

    Parameters
    ----------
    start_diameter_um : mean diameter of the section's first segment, which decides the internodes' length.
    initial : the section leaves the soma: its first 50 um stay initial segment (all of it if shorter than 70 um).
    terminal : no section follows.
    """
    length = float(arc_length(points)[-1])
    if not initial:
        count = internodes(length, start_diameter_um, terminal)
        return wrap(points, diameters, count) if count else [("unmyelinated", (points, diameters))]
    if length < INITIAL_SEGMENT_UM + LEAST_INTERNODE_UM:
        return [("axon_initial", (points, diameters))]
    rest = cut(points, diameters, INITIAL_SEGMENT_UM, length)
    count = max(1, internodes(length - INITIAL_SEGMENT_UM, float(rest[1][0]), terminal))
    return [("axon_initial", cut(points, diameters, 0.0, INITIAL_SEGMENT_UM)), *wrap(*rest, count)]
