"""Verification of the axisymmetric dendrite: conservation, orders, its thin limit, published thresholds.

Also where the cable model is wrong: it has to fail the published threshold of a thick dendrite.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from understudy.calcium.axisymmetric import (
    Dendrite,
    shell_couplings,
    shell_volumes,
    simulate_dendrite,
    total_calcium_uM_um3,
)
from understudy.calcium.axisymmetric_kernel import diffuse_along, react_across
from understudy.calcium.cable_dynamics import kinetics_of, simulate_cables
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.parameters import Parameters
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.threshold_radii import (
    PUBLISHED_UM,
    allowed_um,
    cables_make_wave,
    dendrite_makes_wave,
    dendrite_threshold_um,
)
from understudy.calcium.waves import richardson, wave_speed
from understudy.verification import check


def speeds(radius_um: float, er_radius_um: float, parameters: Parameters, spacing_um: float, dt_s: float,
           length_um: float = 24.0) -> tuple[float, float]:  # fmt: skip
    """Speed of the wave in um/s in the cable and in the axisymmetric dendrite, 0 where it does not pass."""
    n = round(length_um / spacing_um)
    cable = uniform_cable(length_um, radius_um, er_radius_um, n)
    thin = simulate_cables([cable], parameters, Stimulus(), 0.15, dt_s, check_grid=False)
    dendrite = Dendrite(length_um, radius_um, er_radius_um, n, 8, 3)
    full = simulate_dendrite(dendrite, parameters, Stimulus(), 0.15, dt_s, stop_early=True, check_grid=False)
    return tuple(float(wave_speed(cable.position_um, run, length_um)[0]) for run in (thin.arrival_s, full.arrival_s))


def check_conservation() -> list[dict]:
    """Rest stays; a closed dendrite with a wave gains what the stimulus brought."""
    own = Parameters()
    rest = simulate_dendrite(Dendrite(4.0, 0.5, 0.25, 12), own, NO_STIMULUS, 0.2, 2e-5, check_grid=False)
    drift = max(np.abs(rest.cytosol_uM - own.rest_cytosol_uM).max(), np.abs(rest.er_uM - own.rest_er_uM).max())
    closed = replace(own, plasma_scale=0.0)
    dendrite = Dendrite(16.0, 0.5, 0.25, 64)
    before = simulate_dendrite(dendrite, closed, NO_STIMULUS, 2e-5, 2e-5, check_grid=False)
    run = simulate_dendrite(dendrite, closed, Stimulus(), 0.03, 2e-5, check_grid=False)
    start = total_calcium_uM_um3(dendrite, closed, before)
    cross_section = float(shell_volumes(dendrite.cytosol_radii_um).sum())
    entered = cross_section * float(Stimulus().entered_uM_um(np.array(0.03)))
    error = (total_calcium_uM_um3(dendrite, closed, run) - start - entered) / start
    return [
        check("dendrite: rest for 0.2 s, largest drift in uM", drift, 0.0, 1e-8, source="steady state"),
        check("closed dendrite with a wave: relative error of all calcium", error, 0.0, 1e-12, source="conservation"),
        check("closed dendrite: part that the wave reached", np.isfinite(run.arrival_s).mean(), 1.0, 0.0,
              source="a wave did pass"),
    ]  # fmt: skip


def _radial_state(intervals: int, dt_s: float, duration_s: float) -> np.ndarray:
    """u, b and e at nine common radii each, after receptors have opened smoothly in a cross-section at rest."""
    own = Parameters()
    r, s = np.geomspace(0.1, 0.5, intervals + 1), np.linspace(0.0, 0.1, intervals + 1)
    u, b = np.full((1, len(r)), own.rest_cytosol_uM), np.full((1, len(r)), own.rest_calbindin_uM)
    e = np.full((1, len(s)), own.rest_er_uM)
    p, work = np.empty(1), np.empty((intervals + 1, 8))
    steps = round(duration_s / dt_s)
    for k in range(steps):
        p[0] = 0.1 * (1 - math.cos(math.pi * (k + 0.5) / steps))
        react_across(
            u, e, b, p, shell_volumes(r), shell_volumes(s), shell_couplings(r, own.cytosol_diffusion_um2_per_s),
            shell_couplings(s, own.er_diffusion_um2_per_s), shell_couplings(r, own.calbindin_diffusion_um2_per_s),
            2 * math.pi * 0.1, 2 * math.pi * 0.5, kinetics_of(own), dt_s, work,
        )  # fmt: skip
    return np.concatenate([field[0, :: intervals // 8] for field in (u, b, e)])


def check_dendrite_orders() -> list[dict]:
    """Orders of the radial part and of the splitting by halving, of the axial part against the heat equation."""
    lines = []
    radial = [_radial_state(n, 1e-5, 2e-3) for n in (8, 16, 32)]
    order = math.log2(np.abs(radial[0] - radial[1]).max() / np.abs(radial[1] - radial[2]).max())
    lines.append(check("dendrite: order across the radius", order, 2.0, 0.2, source="halving"))
    errors = []
    for n in (16, 32):
        x = (np.arange(n) + 0.5) / n
        field = (2.0 + np.cos(math.pi * x))[:, None].copy()
        work, factor = np.empty_like(field), np.empty(n)
        steps = 4 * n
        for _ in range(steps):
            diffuse_along(field, 0.5 * 0.1 / steps * n**2, 0.0, work, factor)
        errors.append(np.abs(field[:, 0] - 2.0 - np.cos(math.pi * x) * math.exp(-(math.pi**2) * 0.1)).max())
    order = math.log2(errors[0] / errors[1])
    lines.append(check("dendrite: order along the axis, grid and step halved together", order, 2.0, 0.1,
                       source="heat equation"))  # fmt: skip
    dendrite = Dendrite(24.0, 0.5, 0.25, 96, 4, 2)
    found = []
    for dt_s in (6.25e-6, 3.125e-6, 1.5625e-6):
        run = simulate_dendrite(dendrite, Parameters(), Stimulus(), 0.1, dt_s, stop_early=True, check_grid=False)
        found.append(wave_speed(dendrite.position_um, run.arrival_s, dendrite.length_um)[0])
    order = math.log2((found[0] - found[1]) / (found[1] - found[2]))
    lines.append(check("dendrite: order in time of the wave's speed", order, 2.0, 0.2, source="halving"))
    return lines


def check_validity() -> list[dict]:
    """Thin dendrites are cables; thick ones are not."""
    lines = []
    own = Parameters()
    thin, full = speeds(0.05, 0.025, own, 0.125, 1.25e-5)
    lines.append(check("dendrite of radius 0.05 um: speed in the cable over that in the dendrite", thin / full, 1.0,
                       0.02, source="radial diffusion takes 3 us"))  # fmt: skip
    thin, full = speeds(0.5, 0.25, own, 0.125, 1.25e-5)
    lines.append(check("dendrite of radius 0.5 um: speed in the cable over that in the dendrite", thin / full,
                       "below 0.8", "range", thin / full < 0.8, source="radial diffusion takes 0.3 ms"))  # fmt: skip
    return lines


def check_published_side(radius_um: float, receptors_per_um2: float, columns: int, dt_s: float) -> list[dict]:
    """A wave at the upper end of what is allowed around the published threshold, none at the lower end."""
    published = PUBLISHED_UM[radius_um, receptors_per_um2]
    allowed = allowed_um(published)
    upper, lower = (
        dendrite_makes_wave(radius_um, published + sign * allowed, receptors_per_um2, columns, dt_s) for sign in (1, -1)
    )
    words = f"radius {radius_um:g} um, {receptors_per_um2:g} receptors per um2, published threshold {published:g} um"
    return [
        check(f"dendrite of {words}: wave {allowed:.4f} um above it", upper, 1.0, 0.0, source="fitting_threshold.lua"),
        check(f"dendrite of {words}: wave {allowed:.4f} um below it", lower, 0.0, 0.0, source="fitting_threshold.lua"),
    ]


def check_cable_fails() -> list[dict]:
    """The cable keeps to the published threshold of a thin dendrite within a tenth and misses that of a thick one."""
    lines = []
    for radius_um, above, expected in ((0.1, 1.1, True), (0.5, 1.3, False)):
        published = PUBLISHED_UM[radius_um, 3.0]
        found = cables_make_wave(radius_um, np.array([above * published]), 3.0, 768, 2e-5)[0]
        lines.append(check(f"cable of radius {radius_um:g} um: wave at {above:g} times the published threshold", found,
                           float(expected), 0.0, source="fitting_threshold.lua"))  # fmt: skip
    return lines


def converged_threshold(radius_um: float, receptors_per_um2: float, columns: int, dt_s: float) -> dict:
    """Threshold extrapolated from two grids and compared with the published one, as a line of the table."""
    published = PUBLISHED_UM[radius_um, receptors_per_um2]
    low, high = 0.7 * published, min(1.6 * published, 0.95 * radius_um)
    found = [dendrite_threshold_um(radius_um, receptors_per_um2, n, dt_s, low, high) for n in (columns, 2 * columns)]
    return check(
        f"dendrite of radius {radius_um:g} um, {receptors_per_um2:g} receptors per um2: threshold radius of the ER",
        richardson(*found), published, allowed_um(published), source="fitting_threshold.lua",
    )  # fmt: skip


def verify_dendrite() -> list[dict]:
    """All quick lines of the verification table that concern the axisymmetric dendrite."""
    return [
        *check_conservation(),
        *check_dendrite_orders(),
        *check_validity(),
        *check_published_side(0.1, 3.0, 512, 2e-5),
        *check_published_side(0.5, 3.0, 768, 1e-5),
        *check_cable_fails(),
    ]
