"""Neuron morphologies as sections of a tree: what readers give, the generator makes and cell models are built from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from understudy.errors import InputError

SOMA, AXON, BASAL, APICAL = "soma", "axon", "basal", "apical"
KINDS = (SOMA, AXON, BASAL, APICAL)

# A child starts where its parent ends; files keep single precision.
_JOINT_um = 1e-2
# Reconstructions start stems up to two soma radii from its centre; far beyond that, a piece of the file is missing
# (estimate).
_STEM_GAP_um = 60.0


@dataclass(frozen=True)
class Section:
    """The stretch between two branch points.

    Attributes
    ----------
    kind : one of `KINDS`.
    parent : index of the parent section, -1 for the soma; sections that leave the soma have parent 0.
    points : (n, 3) um, n >= 2, from the parent's end outwards.
    diameters : (n,) um at the points.
    """

    kind: str
    parent: int
    points: np.ndarray
    diameters: np.ndarray

    @property
    def length(self) -> float:
        """Length along the section, um."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


@dataclass(frozen=True)
class Morphology:
    """A neuron: section 0 is the soma (a cylinder of two or three points), parents come before their children.

    The soma's centre is the origin and the somatodendritic axis is +z (towards the pia).

    Raises
    ------
    InputError
        If the sections do not form one tree on one soma: no soma, several trees, disconnected or zero-length sections,
        values that are not finite, diameters that are not positive.
    """

    name: str
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        _check_soma(self)
        for number in range(1, len(self.sections)):
            _check_section(self, number)

    def sections_of(self, kind: str) -> list[int]:
        """Numbers of the sections of one kind."""
        return [i for i, section in enumerate(self.sections) if section.kind == kind]

    def children(self) -> list[list[int]]:
        """Numbers of the children of each section."""
        children: list[list[int]] = [[] for _ in self.sections]
        for i, section in enumerate(self.sections):
            if section.parent >= 0:
                children[section.parent].append(i)
        return children

    def path_lengths(self) -> np.ndarray:
        """(S,) um along the tree from the first point of the stem to each section's end; 0 for the soma."""
        path = np.zeros(len(self.sections))
        for i, section in enumerate(self.sections[1:], start=1):
            path[i] = path[section.parent] + section.length
        return path


def soma_section(diameter_um: float) -> Section:
    """A soma as a cylinder as long as it is wide (the area of the sphere), along z, its centre at the origin."""
    half = 0.5 * diameter_um
    points = np.array([[0.0, 0.0, -half], [0.0, 0.0, 0.0], [0.0, 0.0, half]])
    return Section(SOMA, -1, points, np.full(3, float(diameter_um)))


def main_axon_terminal(morphology: Morphology) -> int | None:
    """The section where the main axon is cut (it would go on into the white matter): the deepest axon terminal.

    None if the cell has no axon.
    """
    children = morphology.children()
    ends = [i for i in morphology.sections_of(AXON) if not children[i]]
    return min(ends, key=lambda i: float(morphology.sections[i].points[-1, 2])) if ends else None


def _check_soma(morphology: Morphology) -> None:
    sections = morphology.sections
    if not sections or sections[0].kind != SOMA or sections[0].parent != -1:
        found = "no sections" if not sections else f"{sections[0].kind} with parent {sections[0].parent} as section 0"
        raise InputError(f"{morphology.name}: found {found}; accepted are cells with a soma as section 0 (parent -1)")
    _check_points(morphology, 0)


def _check_section(morphology: Morphology, number: int) -> None:
    """A section's place in the tree, its points and the joint with its parent."""
    section, name = morphology.sections[number], morphology.name
    if section.kind not in KINDS or section.kind == SOMA:
        raise InputError(
            f"{name}: found kind {section.kind!r} at section {number}; accepted are {', '.join(KINDS[1:])}"
        )
    if section.parent == -1:
        raise InputError(f"{name}: found a second tree at section {number}; accepted is one tree on one soma")
    if not 0 <= section.parent < number:
        raise InputError(f"{name}: found parent {section.parent} at section {number}; accepted are 0 to {number - 1}")
    _check_points(morphology, number)
    if section.parent == 0:
        soma = morphology.sections[0]
        gap = float(np.linalg.norm(section.points[0]) - 0.5 * soma.diameters.max())
        if gap > _STEM_GAP_um:
            raise InputError(
                f"{name}: found a disconnected section: section {number} ({section.kind}) starts {gap:.0f} um outside "
                f"the soma; accepted are gaps up to {_STEM_GAP_um:.0f} um"
            )
        return
    gap = float(np.linalg.norm(section.points[0] - morphology.sections[section.parent].points[-1]))
    if gap > _JOINT_um:
        raise InputError(
            f"{name}: found a disconnected section: section {number} ({section.kind}) starts {gap:.3g} um from the end "
            f"of its parent {section.parent}; accepted are sections that start where their parent ends"
        )


def _check_points(morphology: Morphology, number: int) -> None:
    section = morphology.sections[number]
    place = f"{morphology.name}: section {number} ({section.kind})"
    points, diameters = np.asarray(section.points), np.asarray(section.diameters)
    if points.ndim != 2 or points.shape[1:] != (3,) or len(points) < 2 or diameters.shape != (len(points),):
        found = f"points {points.shape} and diameters {diameters.shape}"
        raise InputError(f"{place}: found {found}; accepted are (n, 3) points and (n,) diameters with n of 2 or more")
    if not (np.isfinite(points).all() and np.isfinite(diameters).all()):
        raise InputError(
            f"{place}: found values that are not finite; accepted are finite coordinates and diameters in um"
        )
    if not (diameters > 0).all():
        raise InputError(f"{place}: found a diameter of {diameters.min():g} um; accepted are diameters above 0")
    if not section.length > 0:
        raise InputError(f"{place}: found zero length; accepted are sections longer than 0 um")
