"""Fluxes through the membranes of ER and dendrite, for any shape of arrays; the compiled kernels compute the same."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from understudy.calcium.parameters import Parameters, goldman_factors, ip3_open_probability


class ErFluxes(NamedTuple):
    """Fluxes in uM um/s from the ER into the cytosol; SERCA, which acts the other way, is positive too."""

    ryanodine: np.ndarray
    leak: np.ndarray
    ip3_receptor: np.ndarray
    serca: np.ndarray

    @property
    def net(self) -> np.ndarray:
        return self.ryanodine + self.leak + self.ip3_receptor - self.serca


class PlasmaFluxes(NamedTuple):
    """Fluxes in uM um/s into the cytosol (leak, voltage-gated channels) and out of it (PMCA, NCX), all positive."""

    leak: np.ndarray
    channels: np.ndarray
    pmca: np.ndarray
    ncx: np.ndarray

    @property
    def net(self) -> np.ndarray:
        return self.leak + self.channels - self.pmca - self.ncx


def membrane_fluxes(
    parameters: Parameters, u, e, open_probability, *, ip3=None, voltage_mV: float | None = None, open_fraction=0.0
) -> tuple[ErFluxes, PlasmaFluxes]:
    """Fluxes at cytosolic calcium ``u``, ER calcium ``e`` (uM) and open probability of the ryanodine receptors.

    Ryanodine receptors and leak are linear in the difference of concentrations; SERCA saturates in u and is inhibited
    by 1/e; PMCA is a Hill function of order 2, NCX of order 1 (published scripts, see
    `understudy.calcium.parameters`).

    Parameters
    ----------
    ip3 : uM; None for the parameters' constant level.
    voltage_mV, open_fraction : of the voltage-gated channels; closed when no voltage is given.
    """
    own = parameters
    u, e = np.asarray(u, dtype=float), np.asarray(e, dtype=float)
    gate = ip3_open_probability(u, own.ip3_uM if ip3 is None else ip3)
    er = ErFluxes(
        ryanodine=own.ryanodine_um_per_s * open_probability * (e - u),
        leak=own.er_leak_um_per_s * (e - u),
        ip3_receptor=own.ip3_receptor_um_per_s * gate * (e - u),
        serca=own.serca_uM2_um_per_s * u / ((own.serca_affinity_uM + u) * e),
    )
    channels = np.zeros_like(u)
    if voltage_mV is not None:
        into, out = goldman_factors(voltage_mV)
        channels = own.calcium_channel_um_per_s * open_fraction * (into * own.outside_uM - out * u)
    plasma = PlasmaFluxes(
        leak=own.plasma_leak_um_per_s * (own.outside_uM - u),
        channels=channels,
        pmca=own.pmca_uM_um_per_s * u * u / (own.pmca_affinity_uM**2 + u * u),
        ncx=own.ncx_uM_um_per_s * u / (own.ncx_affinity_uM + u),
    )
    return er, plasma
