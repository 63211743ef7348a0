"""Parameters of the calcium model, their sources, and the exact steady state that they define.

Lengths are in um, times in s, concentrations in uM, fluxes through a membrane in uM um/s (a single-channel flux in
mol/s times a density per um2 times `MOL_PER_UM2`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from understudy.errors import InputError

MOL_PER_UM2 = 1e21
"""1 mol/(um2 s) in uM um/s: 1e15 um3 per litre times 1e6 umol per mol."""

_GAS_J_PER_MOL_K = 8.314
_FARADAY_C_PER_MOL = 96485.0
_TEMPERATURE_K = 310.0
THERMAL_VOLTAGE_MV = 1e3 * _GAS_J_PER_MOL_K * _TEMPERATURE_K / _FARADAY_C_PER_MOL
"""RT/F at 310 K with the constants of the published sources."""


def channel_flux_mol_per_s(conductance_S: float) -> float:
    """Flux of an open divalent channel at the reference gradient, ``RT/(4 F2)`` times its conductance."""
    return _GAS_J_PER_MOL_K * _TEMPERATURE_K / (4 * _FARADAY_C_PER_MOL**2) * conductance_S


@dataclass(frozen=True)
class Parameters:
    """The reaction-diffusion model with its published constants; every field has a row in `SOURCES`.

    The densities of SERCA pumps and the leak of the plasma membrane are not parameters: they follow from the demand
    that the resting concentrations are an exact steady state (`serca_um_per_s`, `plasma_leak_um_per_s`).
    """

    cytosol_diffusion_um2_per_s: float = 220.0
    er_diffusion_um2_per_s: float = 220.0
    calbindin_diffusion_um2_per_s: float = 20.0
    rest_cytosol_uM: float = 0.05
    rest_er_uM: float = 250.0
    outside_uM: float = 1000.0

    calbindin_uM: float = 160.0
    binding_per_uM_s: float = 27.0
    unbinding_per_s: float = 19.0

    ryanodine_per_um2: float = 3.0
    ryanodine_conductance_S: float = 5e-11
    opening_per_uM4_s: float = 1500.0
    closing_per_s: float = 28.8
    second_opening_per_uM3_s: float = 1500.0
    second_closing_per_s: float = 385.9
    inactivation_per_s: float = 1.75
    recovery_per_s: float = 0.1

    reference_gradient_uM: float = 250.0
    er_leak_um_per_s: float = 0.038
    serca_mol_uM_per_s: float = 6.5e-21
    serca_affinity_uM: float = 0.18

    pmca_per_um2: float = 500.0
    pmca_mol_per_s: float = 1.7e-23
    pmca_affinity_uM: float = 0.06
    ncx_per_um2: float = 15.0
    ncx_mol_per_s: float = 2.5e-21
    ncx_affinity_uM: float = 1.8
    plasma_scale: float = 1.0

    ip3_receptor_per_um2: float = 0.0
    ip3_receptor_conductance_S: float = 1.6e-12
    ip3_uM: float = 0.04

    calcium_channel_per_um2: float = 0.0
    calcium_channel_um3_per_s: float = 0.38
    rest_voltage_mV: float = -65.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "rest_voltage_mV":
                accepted, words = math.isfinite(value), "a finite number"
            elif field.name.endswith(_MAY_BE_ZERO):
                accepted, words = 0 <= value < math.inf, "a number of at least 0"
            else:
                accepted, words = 0 < value < math.inf, "a positive number"
            if not accepted:
                raise InputError(f"{field.name}: found {value:g}, accepted is {words}")
        if not self.rest_cytosol_uM < self.rest_er_uM:
            raise InputError(
                f"rest_cytosol_uM and rest_er_uM: found {self.rest_cytosol_uM:g} and {self.rest_er_uM:g}, accepted is "
                "less calcium in the cytosol than in the ER (else no pump density balances the leak)"
            )
        if not self.rest_cytosol_uM < self.outside_uM:
            raise InputError(
                f"rest_cytosol_uM and outside_uM: found {self.rest_cytosol_uM:g} and {self.outside_uM:g}, accepted is "
                "less calcium in the cytosol than outside"
            )
        if self.plasma_leak_um_per_s < 0:
            raise InputError(
                f"calcium_channel_per_um2: found {self.calcium_channel_per_um2:g}, accepted are densities whose influx "
                "at rest the pumps of the plasma membrane can balance (the leak would have to be negative)"
            )

    @property
    def rest_calbindin_uM(self) -> float:
        """Free calbindin in equilibrium with the resting cytosol."""
        return self.calbindin_uM / (1 + self.binding_per_uM_s / self.unbinding_per_s * self.rest_cytosol_uM)

    @property
    def rest_open_probability(self) -> float:
        """Stationary open probability of the ryanodine receptors in the resting cytosol."""
        o1, o2, _, _ = stationary_ryanodine(self, self.rest_cytosol_uM)
        return o1 + o2

    @property
    def ryanodine_um_per_s(self) -> float:
        """Permeability of the ER membrane with all ryanodine receptors open."""
        per_channel = channel_flux_mol_per_s(self.ryanodine_conductance_S)
        return self.ryanodine_per_um2 * per_channel * MOL_PER_UM2 / self.reference_gradient_uM

    @property
    def ip3_receptor_um_per_s(self) -> float:
        """Permeability of the ER membrane with all IP3 receptors open."""
        per_channel = channel_flux_mol_per_s(self.ip3_receptor_conductance_S)
        return self.ip3_receptor_per_um2 * per_channel * MOL_PER_UM2 / self.reference_gradient_uM

    @property
    def pmca_uM_um_per_s(self) -> float:
        """Largest flux of the calcium pumps of the plasma membrane."""
        return self.plasma_scale * self.pmca_per_um2 * self.pmca_mol_per_s * MOL_PER_UM2

    @property
    def ncx_uM_um_per_s(self) -> float:
        """Largest flux of the sodium-calcium exchangers."""
        return self.plasma_scale * self.ncx_per_um2 * self.ncx_mol_per_s * MOL_PER_UM2

    @property
    def calcium_channel_um_per_s(self) -> float:
        """Permeability of the plasma membrane with all voltage-gated channels open."""
        return self.calcium_channel_per_um2 * self.calcium_channel_um3_per_s

    @property
    def serca_uM2_um_per_s(self) -> float:
        """Strength of the SERCA pumps that balances receptors and leak at rest."""
        u, e = self.rest_cytosol_uM, self.rest_er_uM
        open_um_per_s = (
            self.ryanodine_um_per_s * self.rest_open_probability
            + self.ip3_receptor_um_per_s * ip3_open_probability(u, self.ip3_uM)
            + self.er_leak_um_per_s
        )
        return open_um_per_s * (e - u) * (self.serca_affinity_uM + u) * e / u

    @property
    def serca_per_um2(self) -> float:
        """Density of SERCA pumps that balances receptors and leak at rest."""
        return self.serca_uM2_um_per_s / (self.serca_mol_uM_per_s * MOL_PER_UM2)

    @property
    def plasma_leak_um_per_s(self) -> float:
        """Leak of the plasma membrane that balances its pumps, exchangers and open channels at rest."""
        u = self.rest_cytosol_uM
        pumped = self.pmca_uM_um_per_s * u * u / (self.pmca_affinity_uM**2 + u * u)
        pumped += self.ncx_uM_um_per_s * u / (self.ncx_affinity_uM + u)
        into, out = goldman_factors(self.rest_voltage_mV)
        opened = self.calcium_channel_um_per_s * resting_gate(self.rest_voltage_mV)
        return (pumped - opened * (into * self.outside_uM - out * u)) / (self.outside_uM - u)


_MAY_BE_ZERO = ("_per_um2", "_diffusion_um2_per_s", "plasma_scale", "ip3_uM", "calbindin_uM", "_leak_um_per_s")

_WAVE_SCRIPT = "wave_exam.lua and wave_exam_1d.lua, markus-bmb/calciumDynamicsAppKAUST"
_CHANNELS = "membrane transporters of NeuroBox3D/neuro_collection"

SOURCES: dict[str, tuple[str, str]] = {
    "cytosol_diffusion_um2_per_s": ("found", _WAVE_SCRIPT),
    "er_diffusion_um2_per_s": ("found", _WAVE_SCRIPT),
    "calbindin_diffusion_um2_per_s": ("found", _WAVE_SCRIPT),
    "rest_cytosol_uM": ("found", _WAVE_SCRIPT),
    "rest_er_uM": ("found", _WAVE_SCRIPT),
    "outside_uM": ("found", _WAVE_SCRIPT),
    "calbindin_uM": ("found", _WAVE_SCRIPT + " (four sites of 40 uM calbindin)"),
    "binding_per_uM_s": ("found", _WAVE_SCRIPT),
    "unbinding_per_s": ("found", _WAVE_SCRIPT),
    "ryanodine_per_um2": ("found", "the spine project's script; the published waves scan 0.0625 to 20"),
    "ryanodine_conductance_S": ("found", _CHANNELS),
    "opening_per_uM4_s": ("found", _CHANNELS + " (Keizer and Levine 1996)"),
    "closing_per_s": ("found", _CHANNELS + " (Keizer and Levine 1996)"),
    "second_opening_per_uM3_s": ("found", _CHANNELS + " (Keizer and Levine 1996)"),
    "second_closing_per_s": ("found", _CHANNELS + " (Keizer and Levine 1996)"),
    "inactivation_per_s": ("found", _CHANNELS + " (Keizer and Levine 1996)"),
    "recovery_per_s": ("found", _CHANNELS + " (Keizer and Levine 1996)"),
    "reference_gradient_uM": ("found", _CHANNELS),
    "er_leak_um_per_s": ("found", _WAVE_SCRIPT + " (3.8e-17 mol/(um2 s M))"),
    "serca_mol_uM_per_s": ("found", _WAVE_SCRIPT),
    "serca_affinity_uM": ("found", _WAVE_SCRIPT),
    "pmca_per_um2": ("found", _WAVE_SCRIPT),
    "pmca_mol_per_s": ("found", _CHANNELS),
    "pmca_affinity_uM": ("found", _CHANNELS),
    "ncx_per_um2": ("found", _WAVE_SCRIPT),
    "ncx_mol_per_s": ("found", _CHANNELS + " (its comment says that Graupner has 4.8e-21)"),
    "ncx_affinity_uM": ("found", _CHANNELS),
    "plasma_scale": ("estimate", "1 by definition; scales pumps, exchangers and so the leak of the plasma membrane"),
    "ip3_receptor_per_um2": ("found", "0, as in the published wave runs; 17.3 where they include IP3 receptors"),
    "ip3_receptor_conductance_S": ("found", _CHANNELS),
    "ip3_uM": ("found", _WAVE_SCRIPT + " (equilibrium)"),
    "calcium_channel_per_um2": ("found", "0, as in the published wave runs"),
    "calcium_channel_um3_per_s": ("found", _CHANNELS + " (permeability 3.8e-19 m3/s)"),
    "rest_voltage_mV": ("recalled", "typical rest of a pyramidal cell"),
}
"""How well each parameter is known (found, recalled or estimate) and where it comes from."""


def stationary_ryanodine(parameters: Parameters, u):
    """Stationary fractions (o1, o2, c1, c2) of the ryanodine receptors at cytosolic calcium ``u`` in uM (any shape).

    Keizer and Levine (1996): detailed balance of o1 with each of the other three states.
    """
    a = parameters.opening_per_uM4_s / parameters.closing_per_s * u**4
    b = parameters.second_opening_per_uM3_s / parameters.second_closing_per_s * u**3
    c = parameters.inactivation_per_s / parameters.recovery_per_s
    o1 = 1 / (1 + c + 1 / a + b)
    return o1, b * o1, o1 / a, c * o1


IP3_DISSOCIATION_UM = (0.13, 1.05, 0.94, 0.0823)
"""Dissociation constants d1, d2, d3, d5 of the IP3 receptor (found: ip3r.cpp of NeuroBox3D/neuro_collection)."""


def ip3_open_probability(u, ip3):
    """Open probability of the IP3 receptor at cytosolic calcium and IP3 in uM (reduced De Young and Keizer model)."""
    d1, d2, d3, d5 = IP3_DISSOCIATION_UM
    return (u * ip3 * d2 / ((u * ip3 + ip3 * d2 + d1 * d2 + u * d3) * (u + d5))) ** 3


@dataclass(frozen=True)
class Gate:
    """A gate of the Borg-Graham calcium channel: charge, half-activation, time constant, power."""

    charge: float
    half_mV: float
    time_s: float
    power: int

    def stationary(self, voltage_mV):
        """Stationary value at a voltage in mV (any shape)."""
        return 1 / (1 + math.e ** (-self.charge * (voltage_mV - self.half_mV) / THERMAL_VOLTAGE_MV))


ACTIVATION = Gate(3.4, -21.0, 1.5e-3, 2)
INACTIVATION = Gate(-2.0, -40.0, 75e-3, 1)
"""Gates of the default channel (found: vdcc_bg.cpp of NeuroBox3D/neuro_collection, Borg-Graham)."""


def resting_gate(voltage_mV: float) -> float:
    """Stationary open fraction of the voltage-gated channel."""
    return ACTIVATION.stationary(voltage_mV) ** ACTIVATION.power * (
        INACTIVATION.stationary(voltage_mV) ** INACTIVATION.power
    )


def goldman_factors(voltage_mV: float) -> tuple[float, float]:
    """Factors of outside and inside calcium in the Goldman-Hodgkin-Katz influx per permeability, both positive.

    Influx = permeability (into c_outside - out c_inside) with ``x = 2 V F/RT``, ``into = x / (e^x - 1)`` and
    ``out = into e^x``; both are 1 at 0 mV.
    """
    x = 2 * voltage_mV / THERMAL_VOLTAGE_MV
    into = 1 - x / 2 if abs(x) < 1e-6 else x / math.expm1(x)
    return into, into + x
