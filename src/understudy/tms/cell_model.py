"""From a morphology to a cable model: scaling, myelin, segments, compartments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from understudy.errors import InputError
from understudy.tms.biophysics import AXIAL_RESISTIVITY_OHM_CM, HUMAN, UNSCALED, Scaling, cell_biophysics, membrane
from understudy.tms.cable_geometry import (
    SegmentGeometry,
    arc_length,
    as_neuron_keeps,
    segment_geometry,
    segments_of,
)
from understudy.tms.compartments import COMPARTMENT_KINDS, Compartments
from understudy.tms.morphology import APICAL, AXON, BASAL, SOMA, Morphology, Section, main_axon_terminal
from understudy.tms.myelination import myelinate

CUT_DIAMETER_UM = 1000.0
"""Diameter of the last segment of an artificially cut main axon, which keeps it from firing (ModelDB 241165)."""


@dataclass(frozen=True)
class CableSection:
    """An unbranched cable with one kind of membrane.

    Attributes
    ----------
    kind : one of `COMPARTMENT_KINDS` without "junction".
    parent : index of the parent section, -1 for the soma.
    parent_end : where it leaves its parent: 0.5 (the soma's middle) or 1.0 (its end).
    points : (n, 3) um float32, diameters (n,) um float32: as NEURON keeps them.
    segments : number of segments of equal length (NEURON's nseg), odd.
    cut : its end is an artificial cut that cannot fire.
    """

    kind: str
    parent: int
    parent_end: float
    points: np.ndarray
    diameters: np.ndarray
    segments: int
    cut: bool = False


@dataclass(frozen=True)
class CableModel:
    """The sections that NEURON is given and the compartments that they make."""

    sections: tuple[CableSection, ...]
    compartments: Compartments


def _start_diameter(points: np.ndarray, diameters: np.ndarray, segment_um: float) -> float:
    """Mean diameter of the first segment, which is what NEURON calls the diameter at 0."""
    points, diameters = as_neuron_keeps(points, diameters)
    segments = segments_of(arc_length(points)[-1], segment_um)
    return float(segment_geometry(points, diameters, segments, AXIAL_RESISTIVITY_OHM_CM).diameter[0])


def _scaled_soma(points: np.ndarray, diameters: np.ndarray, factor: float) -> np.ndarray:
    """Diameters of a cylinder of the soma's length with ``factor`` times its area."""
    if factor == 1.0:
        return diameters
    steps, first, second = np.diff(arc_length(points)), diameters[:-1], diameters[1:]
    area = np.sum(0.5 * np.pi * (first + second) * np.hypot(steps, 0.5 * (first - second)))
    return np.full(len(points), factor * area / (np.pi * np.sum(steps)))


def _scaled(section: Section, scaling: Scaling, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points and diameters of a section scaled and moved to where scaling put its parent's end."""
    points, diameters = np.asarray(section.points, dtype=float), np.asarray(section.diameters, dtype=float)
    if section.kind == SOMA:
        return points, _scaled_soma(points, diameters, scaling.soma_area)
    factor = {AXON: scaling.axon_diameter, APICAL: scaling.apical_diameter, BASAL: scaling.basal_diameter}
    length = scaling.basal_length if section.kind == BASAL else 1.0
    return points[0] + shift + length * (points - points[0]), factor[section.kind] * diameters


def cable_sections(
    morphology: Morphology, cell_type: str, scaling: Scaling, segment_um: float
) -> tuple[CableSection, ...]:
    """Scale a morphology, myelinate its axon and count segments; parents come before children.

    The number of segments of dendrites follows from their length before scaling, as in the published models.

    Raises
    ------
    InputError : unknown cell type, no axon, a segment length or section without length.
    """
    table = cell_biophysics(cell_type)
    if not morphology.sections_of(AXON):
        raise InputError(f"morphology {morphology.name}: found no axon, accepted: cells with an axon")
    if not segment_um > 0:
        raise InputError(f"segment_um: found {segment_um}, accepted: greater than 0")
    children = morphology.children()
    built: list[CableSection] = []
    last: list[int] = []  # section of the morphology -> its last cable section
    shift: list[np.ndarray] = []  # section of the morphology -> how far scaling moved its end
    for number, section in enumerate(morphology.sections):
        before = np.zeros(3) if section.parent <= 0 else shift[section.parent]
        points, diameters = _scaled(section, scaling, before)
        shift.append(points[-1] - section.points[-1])
        stretches = [(section.kind, (points, diameters))]
        if section.kind == AXON:
            stretches = myelinate(
                points,
                diameters,
                _start_diameter(points, diameters, segment_um),
                initial=morphology.sections[section.parent].kind != AXON,
                terminal=not children[number],
            )
        parent = -1 if section.kind == SOMA else last[section.parent]
        for kind, stretch in stretches:
            place, width = as_neuron_keeps(*stretch)
            if len(place) < 2:
                raise InputError(
                    f"morphology {morphology.name}: found section {number} without length in single precision"
                )
            measured = place if section.kind == AXON else as_neuron_keeps(section.points, section.diameters)[0]
            segments = segments_of(arc_length(measured)[-1], segment_um)
            # All trees leave the soma's middle, as in the Blue Brain cells.
            end = 0.5 if parent == 0 else 1.0
            built.append(CableSection(kind, parent, end, place, width, segments))
            parent = len(built) - 1
        last.append(parent)
    if table.artificial_cut:
        end = last[main_axon_terminal(morphology)]
        built[end] = _cut_end(built[end])
    return tuple(built)


def _cut_end(section: CableSection) -> CableSection:
    """The section with its last segment widened, which is what setting the diameter at 1 does in NEURON."""
    arc = arc_length(section.points)
    wide = arc > arc[-1] * (1 - 1 / section.segments) if section.segments > 1 else np.ones(len(arc), dtype=bool)
    diameters = np.where(wide, np.float32(CUT_DIAMETER_UM), section.diameters)
    return replace(section, diameters=diameters, cut=True)


class _Row(NamedTuple):
    """One compartment; ``resistance`` MOhm is that to its parent."""

    parent: int
    centre: np.ndarray
    area: float
    resistance: float
    kind: str
    section: int
    position: float
    path: float
    diameter: float


def _soma_rows(section: CableSection, g: SegmentGeometry) -> list[_Row]:
    """The soma: its middle segment is the root, the segments on both sides hang on it."""
    middle = section.segments // 2
    at = {middle: 0}
    rows = []
    for i in [middle, *range(middle + 1, section.segments), *range(middle - 1, -1, -1)]:
        parent, resistance = -1, np.inf
        if i != middle:
            inner = i - 1 if i > middle else i + 1
            parent = at[inner]
            resistance = g.resistance[min(i, inner), 1] + g.resistance[max(i, inner), 0]
            at[i] = len(rows)
        path = abs(g.middle[i] - g.middle[middle])
        position = (i + 0.5) / section.segments
        rows.append(_Row(parent, g.centre[i], g.area[i], resistance, SOMA, 0, position, path, g.diameter[i]))
    return rows


def compartments_of(sections: tuple[CableSection, ...], cell: str, cell_type: str) -> Compartments:
    """Compartments in Hines order: section after section, from the soma's middle outwards.

    Where a section has one child, the two half segments are joined in series; where it has several, a junction without
    area joins them. Both are exact eliminations of NEURON's end nodes.
    """
    children = np.bincount([section.parent for section in sections if section.parent >= 0], minlength=len(sections))
    rows: list[_Row] = []
    end: list[tuple[int, float, float]] = []  # section -> compartment at its end, resistance from there on, path
    terminal = []
    for number, section in enumerate(sections):
        g = segment_geometry(section.points, section.diameters, section.segments, AXIAL_RESISTIVITY_OHM_CM)
        if section.parent < 0:
            rows = _soma_rows(section, g)
            end.append((0, 0.0, 0.0))
            continue
        parent, resistance, path = end[section.parent]
        for i in range(section.segments):
            position, along = (i + 0.5) / section.segments, path + g.middle[i]
            resistance += g.resistance[i, 0]
            row = _Row(parent, g.centre[i], g.area[i], resistance, section.kind, number, position, along, g.diameter[i])
            parent, resistance = len(rows), g.resistance[i, 1]
            rows.append(row)
        path += arc_length(section.points)[-1]
        if children[number] > 1:
            width = float(section.diameters[-1])
            rows.append(_Row(parent, g.end, 0.0, resistance, "junction", number, 1.0, path, width))
            parent, resistance = len(rows) - 1, 0.0
        elif not children[number] and section.kind not in (APICAL, BASAL) and not section.cut:
            terminal.append(parent)
        end.append((parent, resistance, path))
    kind = np.array([COMPARTMENT_KINDS.index(row.kind) for row in rows], dtype=np.int8)
    path_um = np.array([row.path for row in rows])
    capacitance, leak, leak_reversal, density = membrane(cell_type, kind, path_um)
    return Compartments(
        cell=cell,
        cell_type=cell_type,
        parent=np.array([row.parent for row in rows], dtype=np.int32),
        centre=np.array([row.centre for row in rows]),
        area=np.array([row.area for row in rows]),
        axial=np.array([1 / row.resistance for row in rows]),
        capacitance=capacitance,
        leak=leak,
        leak_reversal=leak_reversal,
        density=density,
        kind=kind,
        section=np.array([row.section for row in rows], dtype=np.int32),
        position=np.array([row.position for row in rows]),
        path=path_um,
        diameter=np.array([row.diameter for row in rows]),
        terminal=np.array(terminal, dtype=np.int32),
    )


def build_compartments(
    morphology: Morphology, cell_type: str, *, scaled: bool = True, segment_um: float = 40.0
) -> CableModel:
    """Cable model of a neuron.

    Parameters
    ----------
    cell_type : one of `understudy.tms.biophysics.CELL_TYPES`.
    scaled : to the adult human; else the reconstruction's own size. The axon is myelinated in both cases.
    segment_um : a section of length L has 1 + 2 int(L / segment_um) segments.

    Raises
    ------
    InputError : unknown cell type, no axon, a segment length or section without length.
    """
    sections = cable_sections(morphology, cell_type, HUMAN if scaled else UNSCALED, segment_um)
    return CableModel(sections, compartments_of(sections, morphology.name, cell_type))
