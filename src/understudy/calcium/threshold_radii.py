"""Least ER radius for a stable wave: published in two dimensions, found by both models.

Below a radius of the ER its membrane releases too little calcium for the cytosol around it, and no wave runs to the end
of the dendrite. The cable model sees the mean calcium of the cross-section, the receptors that at their membrane: in
a thick dendrite the cable's threshold is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from understudy.calcium.axisymmetric import FAR_LEVEL, Dendrite, simulate_dendrite
from understudy.calcium.cable_dynamics import Channel, simulate_cables
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.parameters import Parameters
from understudy.calcium.stimulus import Stimulus
from understudy.errors import InputError

LENGTH_UM, DURATION_S = 50.0, 1.0
"""Dendrite and longest time of the published runs (found: wave_exam.lua of markus-bmb/calciumDynamicsAppKAUST)."""

PUBLISHED_UM = {
    (0.1, 1.0): 0.034, (0.1, 3.0): 0.023, (0.1, 6.0): 0.018,
    (0.2, 1.0): 0.085, (0.2, 3.0): 0.051, (0.2, 6.0): 0.037,
    (0.5, 1.0): 0.265, (0.5, 3.0): 0.108, (0.5, 6.0): 0.058,
    (1.0, 3.0): 0.116, (1.0, 6.0): 0.058,
}  # fmt: skip
"""Threshold by radius of the dendrite in um and receptors per um2 (found: wave/fitting_threshold.lua, Breit and
Queisser 2018; two-dimensional, bisected to 0.001 um)."""

PUBLISHED_COLUMNS = 96
"""Columns of the published base mesh, with one interval across the ER and one across the cytosol; how often it was
refined is not known."""


def allowed_um(published_um: float) -> float:
    """How far a threshold may lie from the published one: its 0.001 um of bisection, twice, or 5 %."""
    return max(0.05 * published_um, 0.002)


def dendrite_makes_wave(
    radius_um: float, er_radius_um: float, receptors_per_um2: float, columns: int, dt_s: float, cytosol_nodes: int = 8,
    er_nodes: int = 3, parameters: Parameters | None = None,
) -> bool:  # fmt: skip
    """Whether a wave reaches the far end in two dimensions."""
    own = replace(parameters or Parameters(), ryanodine_per_um2=receptors_per_um2)
    dendrite = Dendrite(LENGTH_UM, radius_um, er_radius_um, columns, cytosol_nodes, er_nodes)
    run = simulate_dendrite(dendrite, own, Stimulus(), DURATION_S, dt_s, stop_early=True, check_grid=False)
    return run.outcome == "wave"


def cables_make_wave(
    radius_um: float, er_radii_um: np.ndarray, receptors_per_um2: float, cells: int, dt_s: float,
    parameters: Parameters | None = None, duration_s: float = 0.6, channel: Channel | None = None,
) -> np.ndarray:  # fmt: skip
    """Whether a wave reaches the far end of cables with several ER radii; with ``channel`` for the receptors."""
    own = replace(parameters or Parameters(), ryanodine_per_um2=receptors_per_um2)
    cables = [uniform_cable(LENGTH_UM, radius_um, er_radius, cells) for er_radius in er_radii_um]
    run = simulate_cables(cables, own, Stimulus(), duration_s, dt_s, channel=channel, lanes=True, check_grid=False)
    return run.peak_uM[:, -1] > FAR_LEVEL * own.rest_cytosol_uM


def bisected_um(makes_wave: Callable[[float], bool], low_um: float, high_um: float, accuracy_um: float) -> float:
    """Bisection between a radius without and one with a wave; the error is at most half the accuracy.

    Raises
    ------
    InputError : there is a wave at ``low_um`` or none at ``high_um``.
    """
    if makes_wave(low_um) or not makes_wave(high_um):
        raise InputError(f"ER radius: found no threshold between {low_um:g} and {high_um:g} um")
    while high_um - low_um > accuracy_um:
        middle = 0.5 * (low_um + high_um)
        if makes_wave(middle):
            high_um = middle
        else:
            low_um = middle
    return 0.5 * (low_um + high_um)


def dendrite_threshold_um(
    radius_um: float, receptors_per_um2: float, columns: int, dt_s: float, low_um: float, high_um: float,
    accuracy_um: float = 2e-4, **mesh,
) -> float:  # fmt: skip
    """Threshold of the two-dimensional model by bisection; ``mesh`` as of `dendrite_makes_wave`."""
    return bisected_um(
        lambda r: dendrite_makes_wave(radius_um, r, receptors_per_um2, columns, dt_s, **mesh),
        low_um, high_um, accuracy_um,
    )  # fmt: skip


def cable_threshold_um(
    radius_um: float, receptors_per_um2: float, cells: int, dt_s: float, low_um: float, high_um: float,
    accuracy_um: float = 5e-4, channel: Channel | None = None,
) -> float:  # fmt: skip
    """Threshold of the cable model: eight radii at a time, the bracket shrinks ninefold each time.

    Raises
    ------
    InputError : no radius between ``low_um`` and ``high_um`` makes a wave, or all do.
    """
    ends = cables_make_wave(radius_um, np.array([low_um, high_um]), receptors_per_um2, cells, dt_s, channel=channel)
    if ends[0] or not ends[1]:
        raise InputError(f"ER radius: found no threshold between {low_um:g} and {high_um:g} um")
    while high_um - low_um > accuracy_um:
        radii = np.linspace(low_um, high_um, 10)
        inside = cables_make_wave(radius_um, radii[1:-1], receptors_per_um2, cells, dt_s, channel=channel)
        waves = np.array([False, *inside, True])
        first = int(np.argmax(waves))
        low_um, high_um = radii[first - 1], radii[first]
    return 0.5 * (low_um + high_um)
