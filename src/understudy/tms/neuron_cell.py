"""One cell in NEURON: sections, mechanisms, and runs with a field as injected currents or as outside potentials.

NEURON is imported when a cell is made, so importing this module does not need it. NEURON integrates all sections that
exist, so a `NeuronCell` is closed before the next one is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from understudy.errors import InputError
from understudy.tms import biophysics
from understudy.tms.cell_model import CableModel
from understudy.tms.compartments import CHANNELS, COMPARTMENT_KINDS, Compartments
from understudy.tms.thresholds import CROSSINGS

COUPLINGS = ("injection", "extracellular", "played_potentials")
"""``injection``: equivalent axial currents. ``extracellular``: a global time course times each segment's potential,
copied to e_extracellular before each step. ``played_potentials``: a vector per segment played into e_extracellular."""

_SETTLING_STEPS = 100
_SETTLING_STEP_MS = 1e9
_CALCIUM_SECTIONS = ("soma", "axon_initial")


def injected_currents(compartments: Compartments, potential_mV: np.ndarray) -> np.ndarray:
    """Axial currents (N, M) nA into the compartments that potentials (N, M) mV outside them drive.

    A junction takes the potential at which it needs no current of its own (it has no membrane, so any potential there
    gives the same currents elsewhere); its entries are 0.
    """
    potential = np.array(potential_mV, dtype=float)
    child = np.arange(1, len(compartments))
    parent, g = compartments.parent[1:], compartments.axial[1:]
    junctions = np.flatnonzero(compartments.area == 0)
    if junctions.size:
        total = np.zeros(len(compartments))
        np.add.at(total, child, g)
        np.add.at(total, parent, g)
        mean = np.zeros_like(potential)
        np.add.at(mean.T, child, (g * potential[:, parent]).T)
        np.add.at(mean.T, parent, (g * potential[:, child]).T)
        # No two junctions are neighbours: every section between them has at least one segment.
        potential[:, junctions] = mean[:, junctions] / total[junctions]
    flow = g * (potential[:, parent] - potential[:, child])
    current = np.zeros_like(potential)
    np.add.at(current.T, child, flow.T)
    np.add.at(current.T, parent, -flow.T)
    current[:, junctions] = 0.0
    return current


@dataclass(frozen=True)
class Run:
    """One simulation: crossings of 0 mV, compartment of the first (-1: none), the end of its step in ms (NaN: none)."""

    crossings: int
    site: int
    time_ms: float


class NeuronCell:
    """A cable model as NEURON sections.

    Parameters
    ----------
    coupling : one of `COUPLINGS`.
    calcium : with calcium channels, SK and calcium dynamics in soma and initial segment, instead of SK's resting
        conductance in their leak.

    Raises
    ------
    InputError : unknown coupling, or no mechanisms loaded.
    """

    def __init__(self, model: CableModel, coupling: str = "injection", calcium: bool = False) -> None:
        from neuron import h

        if coupling not in COUPLINGS:
            raise InputError(f"coupling: found {coupling!r}, accepted: {', '.join(COUPLINGS)}")
        if not hasattr(h, "equivalent_current"):
            raise InputError(
                "mechanisms: found none loaded, accepted: load_mechanisms(compile_mechanisms(folder)) first"
            )
        self.h = h
        self.model = model
        self.coupling = coupling
        self.calcium = calcium
        h.celsius = biophysics.TEMPERATURE_C
        h.secondorder = 0
        h.CVode().active(0)
        self.sections = _make_sections(h, model)
        c = model.compartments
        self.active = np.flatnonzero(c.area > 0)
        self.segments = [self.sections[c.section[i]](c.position[i]) for i in self.active]
        self._insert()
        self._membrane_potential = h.PtrVector(len(self.active))
        for i, segment in enumerate(self.segments):
            self._membrane_potential.pset(i, segment._ref_v)
        self._buffer = h.Vector(len(self.active))
        self._played: list[Any] = []
        self.resting_mV = self._settle()

    def close(self) -> None:
        """Take the sections out of NEURON."""
        self._played.clear()
        self.segments.clear()
        del self._membrane_potential
        for section in self.sections:
            self.h.delete_section(sec=section)
        self.sections.clear()

    def __enter__(self) -> NeuronCell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _insert(self) -> None:
        """Mechanisms and their values; a channel is left out of sections where its density is 0."""
        c, table = self.model.compartments, biophysics.cell_biophysics(self.model.compartments.cell_type)
        present = np.zeros((len(self.sections), len(CHANNELS)), dtype=bool)
        np.logical_or.at(present, c.section[self.active], c.density[self.active] > 0)
        for number, section in enumerate(self.sections):
            for channel in np.flatnonzero(present[number]):
                section.insert(CHANNELS[channel])
            section.insert("pas")
            section.insert("crossings")
            section.insert("equivalent_current" if self.coupling == "injection" else "extracellular")
            if self.coupling == "extracellular":
                section.insert("outside_potential")
            if self.calcium and self.model.sections[number].kind in _CALCIUM_SECTIONS:
                for channel in (*biophysics.CALCIUM_CHANNELS, "CaDynamics_E2"):
                    section.insert(channel)
            section.Ra = biophysics.AXIAL_RESISTIVITY_OHM_CM
            if self.h.ismembrane("na_ion", sec=section):
                section.ena = biophysics.SODIUM_REVERSAL_MV
            if self.h.ismembrane("k_ion", sec=section):
                section.ek = biophysics.POTASSIUM_REVERSAL_MV
        leak, reversal = c.leak, c.leak_reversal
        if self.calcium:
            _, leak, reversal, _ = biophysics.membrane(c.cell_type, c.kind, c.path, resting_sk=False)
        for i, segment in zip(self.active, self.segments, strict=True):
            segment.cm = c.capacitance[i]
            segment.pas.g = leak[i]
            segment.pas.e = reversal[i]
            segment.crossings.place = i
            for channel in np.flatnonzero(present[c.section[i]]):
                getattr(segment, CHANNELS[channel]).gbar = c.density[i, channel]
            if self.coupling == "extracellular":
                segment.outside_potential._ref_outside = segment._ref_e_extracellular
            kind = COMPARTMENT_KINDS[c.kind[i]]
            if self.calcium and kind in _CALCIUM_SECTIONS:
                values = table.calcium[kind]
                for channel, value in zip(biophysics.CALCIUM_CHANNELS, values, strict=False):
                    getattr(segment, channel).gbar = value
                segment.CaDynamics_E2.gamma, segment.CaDynamics_E2.decay = values[3:]

    def _settle(self) -> np.ndarray:
        """Membrane potentials (A,) mV at rest, found by implicit steps far longer than any time constant."""
        h = self.h
        self._set_amplitude(0.0)
        h.dt = _SETTLING_STEP_MS
        h.finitialize(biophysics.START_MV)
        for _ in range(_SETTLING_STEPS):
            h.fadvance()
        if self.calcium:
            for segment in self.segments:
                if hasattr(segment, "CaDynamics_E2"):
                    segment.CaDynamics_E2.start = segment.cai
        return self._gather()

    def _gather(self) -> np.ndarray:
        self._membrane_potential.gather(self._buffer)
        return np.array(self._buffer)

    def _set_amplitude(self, value: float) -> None:
        if self.coupling == "injection":
            self.h.amplitude_equivalent_current = value
        elif self.coupling == "extracellular":
            self.h.amplitude_outside_potential = value

    def set_potential(self, potential_mV: np.ndarray) -> None:
        """Quasi-potentials (M,) outside the compartments at amplitude 1."""
        c = self.model.compartments
        potential_mV = np.asarray(potential_mV, dtype=float)
        if potential_mV.shape != (len(c),) or not np.isfinite(potential_mV).all():
            raise InputError(f"potential_mV: found shape {potential_mV.shape}, accepted: ({len(c)},) finite numbers")
        self._potential = potential_mV[self.active]
        if self.coupling == "injection":
            # nA per um2 is 100 mA/cm2.
            density = 100 * injected_currents(c, potential_mV[None])[0, self.active] / c.area[self.active]
            for segment, value in zip(self.segments, density, strict=True):
                segment.equivalent_current.density = value
        elif self.coupling == "extracellular":
            for segment, value in zip(self.segments, self._potential, strict=True):
                segment.outside_potential.potential = value

    def _play(self, drive: np.ndarray, dt_ms: float) -> None:
        """One vector per segment, as a script that writes each e_extracellular itself."""
        h = self.h
        values = self._potential[:, None] * drive
        if not self._played or len(self._played[0]) != drive.size:
            self._played.clear()
            # NEURON looks played vectors up in the middle of a step.
            self._times = h.Vector((np.arange(drive.size) + 0.5) * dt_ms)
            for segment in self.segments:
                vector = h.Vector(drive.size)
                vector.play(segment._ref_e_extracellular, self._times, 1)
                self._played.append(vector)
        for vector, row in zip(self._played, values, strict=True):
            vector.as_numpy()[:] = row

    def run(
        self,
        amplitude: float,
        waveform: np.ndarray,
        dt_ms: float,
        *,
        whole_window: bool = True,
        trace: np.ndarray | None = None,
    ) -> Run:
        """Simulate from rest; ``waveform`` (S,) is the field's value in each step.

        ``whole_window=False`` ends once the cell counts as excited; ``trace`` (S, A) takes the membrane potentials of
        the compartments with area after each step.
        """
        h = self.h
        drive = amplitude * np.asarray(waveform, dtype=float)
        if self.coupling == "played_potentials":
            self._play(drive, dt_ms)
        self._set_amplitude(0.0)
        h.dt = dt_ms
        h.count_crossings, h.where_first_crossings, h.when_first_crossings = 0, -1, -1
        # Gates start at their steady state for the potentials found here: no stored state to go stale.
        self._buffer.as_numpy()[:] = self.resting_mV
        self._membrane_potential.scatter(self._buffer)
        h.finitialize()
        for step, value in enumerate(drive):
            self._set_amplitude(value)
            h.fadvance()
            if trace is not None:
                trace[step] = self._gather()
            if not whole_window and h.count_crossings >= CROSSINGS:
                break
        site = int(h.where_first_crossings)
        return Run(int(h.count_crossings), site, float(h.when_first_crossings) if site >= 0 else np.nan)


def _make_sections(h: Any, model: CableModel) -> list[Any]:
    sections: list[Any] = []
    for number, section in enumerate(model.sections):
        made = h.Section(name=f"{section.kind}_{number}")
        for (x, y, z), diameter in zip(section.points.tolist(), section.diameters.tolist(), strict=True):
            made.pt3dadd(x, y, z, diameter)
        made.nseg = section.segments
        made.Ra = biophysics.AXIAL_RESISTIVITY_OHM_CM
        if section.parent >= 0:
            made.connect(sections[section.parent](section.parent_end), 0)
        sections.append(made)
    return sections
