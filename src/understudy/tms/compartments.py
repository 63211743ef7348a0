"""The compartments of a cable model: what the threshold engines solve, whatever made them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

COMPARTMENT_KINDS = ("soma", "apical", "basal", "axon_initial", "node", "myelin", "unmyelinated", "junction")
"""``junction`` has no area: the end of a section where children begin."""

CHANNELS = ("NaTa_t", "NaTs2_t", "Nap_Et2", "K_Tst", "K_Pst", "SKv3_1", "Ih", "Im")
"""Channels in the columns of `Compartments.density`; calcium ones are left out (see `understudy.tms.biophysics`)."""


@dataclass(frozen=True)
class Compartments:
    """M compartments of one cell in Hines order (``parent[i] < i``; compartment 0 is the root, in the soma).

    Attributes
    ----------
    cell : name of the cell; ``cell_type`` one of `understudy.tms.biophysics.CELL_TYPES`.
    parent : (M,) int32, -1 for the root.
    centre : (M, 3) um, in the cell's frame: soma at the origin, +z towards the pia.
    area : (M,) um2, 0 at junctions.
    axial : (M,) uS, conductance to the parent (0 for the root).
    capacitance : (M,) uF/cm2.
    leak : (M,) S/cm2 and ``leak_reversal`` (M,) mV.
    density : (M, len(CHANNELS)) S/cm2.
    kind : (M,) int8, index into `COMPARTMENT_KINDS`.
    section : (M,) int32, number of the cable section, and ``position`` (M,) its relative place in it (0.5/nseg ... 1).
    path : (M,) um, distance along the tree from the soma's centre.
    diameter : (M,) um.
    terminal : (K,) int32, the compartments at axon terminals that can fire (an artificial cut is none).
    """

    cell: str
    cell_type: str
    parent: np.ndarray
    centre: np.ndarray
    area: np.ndarray
    axial: np.ndarray
    capacitance: np.ndarray
    leak: np.ndarray
    leak_reversal: np.ndarray
    density: np.ndarray
    kind: np.ndarray
    section: np.ndarray
    position: np.ndarray
    path: np.ndarray
    diameter: np.ndarray
    terminal: np.ndarray

    def __len__(self) -> int:
        return len(self.parent)
