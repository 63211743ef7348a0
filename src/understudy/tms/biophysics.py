"""Membrane of the cell types: scaling to the adult human, maximal conductances, passive values, reversal potentials.

The channels are those of the Blue Brain cells of 2015 as used in transcranial magnetic stimulation by Aberra et al.
2018 (ModelDB 241165), myelinated and scaled to the adult human. Calcium channels, SK and calcium dynamics
(`CALCIUM_CHANNELS`) act on soma and initial segment only. Within one pulse they do nothing, but SK is open a little at
the resting concentration and shifts the resting potential (by 2.6 mV in a small layer 2/3 cell, whose thresholds then
rise by 8 %). So `understudy.tms.compartments.Compartments` has no calcium but SK's constant resting conductance in its
leak; the NEURON reference can switch the full set on instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from understudy.errors import InputError
from understudy.tms.compartments import CHANNELS, COMPARTMENT_KINDS

CELL_TYPES = ("L23_PC", "L4_LBC", "L5_TTPC")

# Found in ModelDB 241165 (setParams.hoc, myelinBiophysics.hoc, biophysics.hoc of the cells).
TEMPERATURE_C = 37.0
AXIAL_RESISTIVITY_OHM_CM = 100.0
SODIUM_REVERSAL_MV = 50.0
POTASSIUM_REVERSAL_MV = -85.0
START_MV = -75.0
"""Membrane potential from which the resting state is sought."""
MYELIN_CAPACITANCE_UF_PER_CM2 = 0.02
MYELIN_LEAK_S_PER_CM2 = 1 / 1.125e6
NODE_SODIUM_FACTOR = 2.0
"""Nodes of Ranvier have this many times the transient sodium conductance of the initial segment."""

CALCIUM_CHANNELS = ("SK_E2", "Ca_HVA", "Ca_LVAst")
"""Columns of `CellBiophysics.calcium`, followed there by gamma and decay (ms) of the calcium dynamics."""
RESTING_CALCIUM_MM = 1e-4
RESTING_SK = 1 / (1 + (0.00043 / RESTING_CALCIUM_MM) ** 4.8)
"""Share of SK channels open at the resting concentration; their kinetics are found in ModelDB 241165, SK_E2.mod."""


@dataclass(frozen=True)
class Scaling:
    """Factors from the young rat's reconstruction to the adult human.

    ``soma_area`` multiplies the soma's area at constant length, the other factors multiply diameters, ``basal_length``
    the lengths of basal dendrites. Found: ModelDB 241165, setParams.hoc ("maxH").
    """

    soma_area: float = 2.453
    axon_diameter: float = 2.453
    apical_diameter: float = 1.876
    basal_diameter: float = 1.946
    basal_length: float = 1.17


HUMAN = Scaling()
UNSCALED = Scaling(1.0, 1.0, 1.0, 1.0, 1.0)


@dataclass(frozen=True)
class CellBiophysics:
    """One cell type. Conductances in S/cm2, keyed by channel; absent means 0.

    Attributes
    ----------
    soma, apical, basal, axon : maximal conductances; ``axon`` holds for nodes, unmyelinated axon and initial segment.
    axon_initial : conductances of the initial segment alone, on top of ``axon``.
    ih_growth : (kind of dendrite -> 1/um) k of the factor ``-0.8696 + 2.087 exp(k path)`` on Ih; absent: uniform.
    leak, leak_reversal : soma, dendrite, axon; S/cm2 and mV.
    calcium : place ("soma", "axon_initial") -> SK_E2, Ca_HVA, Ca_LVAst, gamma (1), decay (ms).
    artificial_cut : the main axon ends where the slice was cut, so its end cannot fire.
    """

    soma: dict[str, float]
    apical: dict[str, float]
    basal: dict[str, float]
    axon: dict[str, float]
    axon_initial: dict[str, float]
    ih_growth: dict[str, float]
    leak: tuple[float, float, float]
    leak_reversal: tuple[float, float, float]
    calcium: dict[str, tuple[float, float, float, float, float]]
    artificial_cut: bool


_BASKET_DENDRITE = {"NaTs2_t": 0.001373, "SKv3_1": 0.000041, "Im": 0.000014, "Ih": 0.000023, "K_Tst": 0.007375}

# All found: ModelDB 241165, cells/*/biophysics.hoc (the same for all clones of a type).
BIOPHYSICS = MappingProxyType(
    {
        "L23_PC": CellBiophysics(
            soma={"NaTs2_t": 0.926705, "SKv3_1": 0.102517, "Ih": 0.000080},
            apical={"NaTs2_t": 0.012009, "SKv3_1": 0.000513, "Im": 0.000740, "Ih": 0.000080},
            basal={"Ih": 0.000080},
            axon={"NaTa_t": 3.429725, "K_Tst": 0.001035, "Nap_Et2": 0.009803, "K_Pst": 0.959296, "SKv3_1": 0.094971},
            axon_initial={},
            ih_growth={"apical": 0.0031},
            leak=(3e-5, 3e-5, 3e-5),
            leak_reversal=(-75.0, -75.0, -75.0),
            calcium={
                "soma": (0.099433, 0.000374, 0.000778, 0.000533, 342.54),
                "axon_initial": (0.008085, 0.000306, 0.000050, 0.016713, 384.11),
            },
            artificial_cut=False,
        ),
        "L4_LBC": CellBiophysics(
            soma={
                "NaTs2_t": 0.395881,
                "SKv3_1": 0.260872,
                "K_Tst": 0.077616,
                "K_Pst": 0.000114,
                "Im": 0.000032,
                "Nap_Et2": 1e-6,
            },
            apical=_BASKET_DENDRITE,
            basal=_BASKET_DENDRITE,
            axon={"NaTa_t": 3.993125, "K_Pst": 0.068460, "SKv3_1": 0.517764},
            axon_initial={"Im": 0.000345},
            ih_growth={"apical": 0.0030, "basal": 0.0030},
            leak=(2.0e-5, 1e-6, 6.3e-5),
            leak_reversal=(-69.78, -63.12, -64.60),
            calcium={
                "soma": (0.002099, 0.000028, 0.009728, 0.000814, 967.68),
                "axon_initial": (0.005611, 0.000501, 0.009986, 0.000503, 573.01),
            },
            artificial_cut=False,
        ),
        "L5_TTPC": CellBiophysics(
            soma={"NaTs2_t": 0.983955, "SKv3_1": 0.303472, "Ih": 0.000080},
            apical={"NaTs2_t": 0.026145, "SKv3_1": 0.004226, "Im": 0.000143, "Ih": 0.000080},
            basal={"Ih": 0.000080},
            axon={"NaTa_t": 3.137968, "K_Tst": 0.089259, "Nap_Et2": 0.006827, "K_Pst": 0.973538, "SKv3_1": 1.021945},
            axon_initial={},
            ih_growth={"apical": 0.0031},
            leak=(3e-5, 3e-5, 3e-5),
            leak_reversal=(-75.0, -75.0, -75.0),
            calcium={
                "soma": (0.008407, 0.000994, 0.000333, 0.000609, 210.49),
                "axon_initial": (0.007104, 0.000990, 0.008752, 0.002910, 287.20),
            },
            artificial_cut=True,
        ),
    }
)


def cell_biophysics(cell_type: str) -> CellBiophysics:
    """The table of a cell type.

    Raises
    ------
    InputError : if ``cell_type`` is none of `CELL_TYPES`.
    """
    if cell_type not in BIOPHYSICS:
        raise InputError(f"cell type: found {cell_type!r}, accepted: {', '.join(CELL_TYPES)}")
    return BIOPHYSICS[cell_type]


def _maximal_conductances(table: CellBiophysics, kind: str) -> dict[str, float]:
    if kind == "node":
        return {**table.axon, "NaTa_t": NODE_SODIUM_FACTOR * table.axon["NaTa_t"]}
    if kind == "axon_initial":
        return {**table.axon, **table.axon_initial}
    return {
        "soma": table.soma,
        "apical": table.apical,
        "basal": table.basal,
        "unmyelinated": table.axon,
        "myelin": {},
        "junction": {},
    }[kind]


def membrane(
    cell_type: str, kind: np.ndarray, path_um: np.ndarray, *, resting_sk: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Membrane of compartments.

    Parameters
    ----------
    kind : (M,) index into `COMPARTMENT_KINDS`; path_um : (M,) distance from the soma's centre along the tree.
    resting_sk : put SK's resting conductance into the leak (not where SK itself is simulated).

    Returns
    -------
    capacitance (M,) uF/cm2, leak (M,) S/cm2, leak reversal (M,) mV, density (M, len(CHANNELS)) S/cm2; all but the
    reversal are 0 at junctions.
    """
    table = cell_biophysics(cell_type)
    kind = np.asarray(kind)
    capacitance = np.zeros(len(kind))
    leak = np.zeros(len(kind))
    reversal = np.full(len(kind), table.leak_reversal[0])
    density = np.zeros((len(kind), len(CHANNELS)))
    for number, name in enumerate(COMPARTMENT_KINDS):
        here = kind == number
        if name == "junction" or not here.any():
            continue
        place = {"soma": 0, "apical": 1, "basal": 1}.get(name, 2)
        reversal[here] = table.leak_reversal[place]
        if name == "myelin":
            capacitance[here] = MYELIN_CAPACITANCE_UF_PER_CM2
            leak[here] = MYELIN_LEAK_S_PER_CM2
            continue
        # Dendrites of every type get 2 uF/cm2 when the axon is myelinated (spines of pyramidal cells).
        capacitance[here] = 2.0 if place == 1 else 1.0
        leak[here] = table.leak[place]
        if resting_sk and name in table.calcium:
            sk = RESTING_SK * table.calcium[name][0]
            reversal[here] = (leak[here] * reversal[here] + sk * POTASSIUM_REVERSAL_MV) / (leak[here] + sk)
            leak[here] += sk
        for channel, value in _maximal_conductances(table, name).items():
            density[here, CHANNELS.index(channel)] = value
        if name in table.ih_growth:
            growth = -0.8696 + 2.087 * np.exp(table.ih_growth[name] * path_um[here])
            density[here, CHANNELS.index("Ih")] *= growth
    return capacitance, leak, reversal, density
