"""What acts on a dendrite from outside: calcium that enters at its end, voltage-gated channels, IP3."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from understudy.calcium.cable_kernel import DRIVE_FIELDS, INFLUX, IP3, PLASMA_IN, PLASMA_OUT
from understudy.calcium.parameters import ACTIVATION, INACTIVATION, Parameters, goldman_factors, resting_gate
from understudy.errors import InputError


@dataclass(frozen=True)
class Stimulus:
    """Triangular pulses of calcium influx into the cytosol at the root's end, a voltage and IP3.

    Attributes
    ----------
    onsets_s : beginnings of the pulses.
    density_uM_um_per_s : influx per cross-section at a pulse's beginning (found: 2500, wave_exam.lua of
        markus-bmb/calciumDynamicsAppKAUST), from where it falls linearly to 0.
    duration_s : of a pulse (found there: 1 ms).
    voltage_mV : (steps,) voltage during each step; None for the resting voltage throughout.
    ip3_uM : (steps,) IP3 during each step, the same along the cable; None for the parameters' level throughout.
    """

    onsets_s: tuple[float, ...] = (0.0,)
    density_uM_um_per_s: float = 2500.0
    duration_s: float = 1e-3
    voltage_mV: np.ndarray | None = None
    ip3_uM: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("density_uM_um_per_s", "duration_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0) or (name == "duration_s" and value == 0):
                raise InputError(f"{name}: found {value:g}, accepted is a positive number")
        if any(not (math.isfinite(onset) and onset >= 0) for onset in self.onsets_s):
            raise InputError(f"onsets_s: found {self.onsets_s}, accepted are times of at least 0")

    def entered_uM_um(self, time_s: np.ndarray) -> np.ndarray:
        """Calcium that has entered per cross-section up to given times."""
        total = np.zeros(np.shape(time_s))
        for onset in self.onsets_s:
            part = np.clip((time_s - onset) / self.duration_s, 0.0, 1.0)
            total += self.density_uM_um_per_s * self.duration_s * part * (1 - 0.5 * part)
        return total

    def mean_influx(self, first: int, steps: int, dt_s: float) -> np.ndarray:
        """Mean influx per cross-section (uM um/s) in steps ``first`` to ``first + steps - 1``; nothing is lost."""
        return np.diff(self.entered_uM_um((first + np.arange(steps + 1)) * dt_s)) / dt_s


NO_STIMULUS = Stimulus(onsets_s=())


def open_fraction(voltage_mV: np.ndarray, dt_s: float, rest_mV: float) -> np.ndarray:
    """Open fraction (steps,) of the Borg-Graham calcium channel in the middle of each step.

    Gates relax exponentially, exactly for a voltage that is constant within each step.
    """
    fraction = np.ones(len(voltage_mV))
    for gate in (ACTIVATION, INACTIVATION):
        target = gate.stationary(voltage_mV)
        half = math.exp(-0.5 * dt_s / gate.time_s)
        x = gate.stationary(rest_mV)
        middle = np.empty(len(voltage_mV))
        for k, aim in enumerate(target):
            middle[k] = aim + (x - aim) * half
            x = aim + (middle[k] - aim) * half
        fraction *= middle**gate.power
    return fraction


def drive_of(
    parameters: Parameters, stimulus: Stimulus, inlet_um2: float, opened: np.ndarray | None, first: int, steps: int,
    dt_s: float,
) -> np.ndarray:  # fmt: skip
    """What acts during steps ``first`` to ``first + steps - 1``, (steps, 4), as the kernel takes it.

    ``opened`` is the open fraction of the voltage-gated channels in each step of the run, None for that of rest.
    """
    drive = np.zeros((steps, DRIVE_FIELDS))
    drive[:, INFLUX] = inlet_um2 * stimulus.mean_influx(first, steps, dt_s)
    drive[:, IP3] = parameters.ip3_uM if stimulus.ip3_uM is None else stimulus.ip3_uM[first : first + steps]
    if parameters.calcium_channel_per_um2 > 0:
        if opened is None:
            fraction = resting_gate(parameters.rest_voltage_mV)
            into, out = goldman_factors(parameters.rest_voltage_mV)
        else:
            fraction = opened[first : first + steps]
            into, out = np.array([goldman_factors(v) for v in stimulus.voltage_mV[first : first + steps]]).T
        permeability = parameters.calcium_channel_um_per_s * fraction
        drive[:, PLASMA_IN] = permeability * into * parameters.outside_uM
        drive[:, PLASMA_OUT] = permeability * out
    return drive
