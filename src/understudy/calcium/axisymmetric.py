"""Calcium in a dendrite resolved along the axis and across the radius, with the ER membrane as an interface.

Where calcium does not equalise across the cytosol faster than the receptors act, they see the calcium at their
membrane and not its mean over the cross-section, and the cable model is wrong. This model says where.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from understudy.calcium import axisymmetric_kernel as kernel
from understudy.calcium.cable_checks import longest_step_s
from understudy.calcium.cable_dynamics import FRONT_PROBABILITY, kinetics_of
from understudy.calcium.cable_geometry import uniform_cable, warn_of_coarse_grid
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.stimulus import Stimulus
from understudy.errors import InputError

FAR_LEVEL = 4.0
"""Cytosolic calcium at the far end, over rest, at which a wave has arrived (found: wave_exam.lua)."""

OUTCOMES = ("no wave", "wave", "stuck")


@dataclass(frozen=True)
class Dendrite:
    """Grid of a straight dendrite: equal columns along x, nodes across the radius.

    Attributes
    ----------
    length_um, radius_um, er_radius_um : its size.
    columns : along x, unknowns in the middle.
    er_nodes : equal intervals between the axis and the ER membrane, ``cytosol_nodes`` intervals between the ER membrane
        and the plasma membrane, in geometric progression. One of each is the published mesh across the radius.
    """

    length_um: float
    radius_um: float
    er_radius_um: float
    columns: int
    cytosol_nodes: int = 12
    er_nodes: int = 4

    def __post_init__(self) -> None:
        uniform_cable(self.length_um, self.radius_um, self.er_radius_um, self.columns)  # the same demands
        for name in ("cytosol_nodes", "er_nodes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: found {getattr(self, name)}, accepted is at least 1 interval")

    @property
    def position_um(self) -> np.ndarray:
        """(columns,) middles of the columns."""
        return (np.arange(self.columns) + 0.5) * self.length_um / self.columns

    @property
    def er_radii_um(self) -> np.ndarray:
        """Radii of the ER nodes, the last on the ER membrane."""
        return np.linspace(0.0, self.er_radius_um, self.er_nodes + 1)

    @property
    def cytosol_radii_um(self) -> np.ndarray:
        """Radii of the cytosolic nodes, the first on the ER membrane, the last on the plasma membrane."""
        return np.geomspace(self.er_radius_um, self.radius_um, self.cytosol_nodes + 1)


@dataclass(frozen=True)
class DendriteRun:
    """What a dendrite did.

    Attributes
    ----------
    outcome : one of `OUTCOMES`.
    time_s : when the run ended.
    arrival_s : (columns,) when the open probability first exceeded the front's, inf where it never did.
    sample_s, traces : (T,) and (T, S, 4): mean cytosolic calcium, that at the ER membrane, mean ER calcium in uM and
        open probability.
    cytosol_uM, calbindin_uM : (columns, cytosol_nodes + 1), er_uM (columns, er_nodes + 1) at the end.
    """

    outcome: str
    time_s: float
    arrival_s: np.ndarray
    sample_s: np.ndarray
    traces: np.ndarray
    cytosol_uM: np.ndarray
    calbindin_uM: np.ndarray
    er_uM: np.ndarray


def shell_volumes(radii_um: np.ndarray) -> np.ndarray:
    """Cross-sections (um2) of the finite volumes around nodes: their borders lie half-way between nodes."""
    borders = np.concatenate([radii_um[:1], 0.5 * (radii_um[1:] + radii_um[:-1]), radii_um[-1:]])
    return math.pi * np.diff(borders**2)


def shell_couplings(radii_um: np.ndarray, diffusion_um2_per_s: float) -> np.ndarray:
    """Diffusive couplings (um2/s) of neighbouring nodes per unit of length."""
    middle = 0.5 * (radii_um[1:] + radii_um[:-1])
    return diffusion_um2_per_s * 2 * math.pi * middle / np.diff(radii_um)


def total_calcium_uM_um3(dendrite: Dendrite, parameters: Parameters, run: DendriteRun) -> float:
    """Free and bound calcium of cytosol and ER at the end of a run."""
    dx = dendrite.length_um / dendrite.columns
    cytosol, er = shell_volumes(dendrite.cytosol_radii_um), shell_volumes(dendrite.er_radii_um)
    in_cytosol = cytosol * (run.cytosol_uM + (parameters.calbindin_uM - run.calbindin_uM))
    return dx * math.fsum([*in_cytosol.ravel(), *(er * run.er_uM).ravel()])


def simulate_dendrite(
    dendrite: Dendrite,
    parameters: Parameters,
    stimulus: Stimulus,
    duration_s: float,
    dt_s: float,
    *,
    stop_early: bool = False,
    sites: Sequence[int] = (),
    every: int = 1,
    check_grid: bool = True,
) -> DendriteRun:
    """A dendrite from rest, with the stimulus over its cytosolic cross-section at x = 0.

    Second order: Strang splitting of axial diffusion (Crank-Nicolson) and everything across the radius (linearly
    implicit midpoint rule), receptors half a step beside.

    Parameters
    ----------
    stop_early : end once calcium has reached the far end, or the largest release has fallen below a quarter of its
        maximum (the published criteria).
    sites : columns whose traces are kept after every so many steps.
    check_grid : whether to warn of columns that do not resolve the front (by the rule of the cable of the same size).

    Raises
    ------
    InputError : step too long; a concentration became negative or was no longer a number.
    """
    if not (math.isfinite(dt_s) and 0 < dt_s <= longest_step_s(parameters)):
        raise InputError(f"dt_s: found {dt_s:g}, accepted are steps up to {longest_step_s(parameters):.3g} s")
    for name in ("ip3_receptor_per_um2", "calcium_channel_per_um2"):
        if getattr(parameters, name) > 0:
            raise InputError(f"{name}: found {getattr(parameters, name):g}, accepted in two dimensions is 0")
    columns = dendrite.columns
    dx = dendrite.length_um / columns
    if check_grid and parameters.ryanodine_per_um2 > 0:
        like = uniform_cable(dendrite.length_um, dendrite.radius_um, dendrite.er_radius_um, columns)
        warn_of_coarse_grid(like, parameters)
    cytosol, er = dendrite.cytosol_radii_um, dendrite.er_radii_um
    u = np.full((columns, len(cytosol)), parameters.rest_cytosol_uM)
    b = np.full((columns, len(cytosol)), parameters.rest_calbindin_uM)
    e = np.full((columns, len(er)), parameters.rest_er_uM)
    fractions = stationary_ryanodine(parameters, parameters.rest_cytosol_uM)[1:]
    channel = np.tile(np.array(fractions), columns)
    p = np.full(columns, parameters.rest_open_probability)
    steps = round(duration_s / dt_s)
    influx = stimulus.mean_influx(0, 2 * steps, 0.5 * dt_s) * 0.5 * dt_s / dx
    sites = np.asarray(sites, dtype=np.int64).reshape(-1)
    sampled = np.arange(1, steps // every + 1) * every if len(sites) else np.arange(0)
    traces = np.zeros((len(sampled), len(sites), 4))
    arrival = np.full(columns, np.inf)
    diffusion = np.array([
        parameters.cytosol_diffusion_um2_per_s,
        parameters.er_diffusion_um2_per_s,
        parameters.calbindin_diffusion_um2_per_s,
    ])  # fmt: skip
    done, outcome = kernel.run_axisymmetric(
        u, e, b, channel, p, shell_volumes(cytosol), shell_volumes(er), shell_couplings(cytosol, diffusion[0]),
        shell_couplings(er, diffusion[1]), shell_couplings(cytosol, diffusion[2]),
        2 * math.pi * dendrite.er_radius_um, 2 * math.pi * dendrite.radius_um, kinetics_of(parameters),
        diffusion / dx**2, influx, dt_s, 0, steps, stop_early, FAR_LEVEL * parameters.rest_cytosol_uM,
        FRONT_PROBABILITY, arrival, np.zeros(1), traces, every, sites,
    )  # fmt: skip
    if outcome == kernel.NOT_HELD:
        bad = np.argwhere(~((u.min(axis=1) >= 0) & (e.min(axis=1) >= 0) & (b.min(axis=1) >= 0)))
        raise InputError(
            f"concentrations: found a negative number or none at x = {dendrite.position_um[bad[0, 0]]:g} um, "
            f"t = {done * dt_s:g} s; likely cause: a step of {dt_s:g} s that is too long"
        )
    held = sampled <= done
    return DendriteRun(OUTCOMES[outcome], done * dt_s, arrival, sampled[held] * dt_s, traces[held], u, b, e)
