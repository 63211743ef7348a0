"""Verification of the calcium cable against closed forms, conservation laws and manufactured solutions.

Each function gives lines of the verification table (`understudy.verification.check`); tests assert them and the report
prints them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np

from understudy.calcium.cable_dynamics import CableSimulation, simulate_cables, total_calcium_uM_um3
from understudy.calcium.cable_geometry import Cable, branched_cable, uniform_cable
from understudy.calcium.membranes import membrane_fluxes
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.reference_cases import (
    FRONT_SPEEDS,
    FRONT_STEP_SPEEDS,
    front_cable,
    front_parameters,
    front_run,
    front_speed,
)
from understudy.calcium.stimulus import NO_STIMULUS, Stimulus
from understudy.calcium.waves import richardson
from understudy.verification import check

STATIONARY_OPEN = ((0.05, 3.2e-4, 5e-6), (0.1, 0.00477, 5e-6), (0.2, 0.03377, 5e-6), (0.5, 0.0770, 5e-5),
                   (1.0, 0.2181, 5e-5), (2.0, 0.6471, 5e-5), (5.0, 0.9653, 5e-5))  # fmt: skip
"""Cytosolic calcium in uM, stationary open probability from an independent evaluation, half its last digit."""

# Orders and conservation hold on any grid; a warning of coarse ones would say nothing here.
_simulate = functools.partial(simulate_cables, check_grid=False)


def bump(cable: Cable, parameters: Parameters, height_uM: float = 40.0, length_um: float = 2.0) -> np.ndarray:
    """Rest (N, 3) with cytosolic calcium raised near the root: a start that other codes can take too."""
    rest = [parameters.rest_cytosol_uM, parameters.rest_er_uM, parameters.rest_calbindin_uM]
    initial = np.tile(rest, (len(cable), 1))
    initial[cable.position_um < length_um, 0] = height_uM
    return initial


def small_tree(spacing_um: float = 0.25) -> Cable:
    """A dendrite with three branch points, one of them at the root, and unequal radii."""
    return branched_cable(
        [-1, -1, 0, 0, 2, 2, 3, 3],
        [6.0, 3.0, 5.0, 4.0, 3.0, 3.5, 4.5, 2.5],
        [0.5, 0.3, 0.4, 0.35, 0.3, 0.3, 0.25, 0.3],
        [0.25, 0.15, 0.2, 0.2, 0.15, 0.15, 0.125, 0.15],
        spacing_um,
    )


def check_rest() -> list[dict]:
    """Rest stays rest for a second; its fluxes balance."""
    parameters = front_parameters()
    er, plasma = membrane_fluxes(
        parameters, parameters.rest_cytosol_uM, parameters.rest_er_uM, parameters.rest_open_probability
    )
    lines = [
        check("rest: net flux through the ER membrane over its leak", float(er.net) / float(er.leak), 0.0, 1e-13,
              source="balance"),
        check("rest: net flux through the plasma membrane over its leak", float(plasma.net) / float(plasma.leak), 0.0,
              1e-13, source="balance"),
    ]  # fmt: skip
    rest = np.array([parameters.rest_cytosol_uM, parameters.rest_er_uM, parameters.rest_calbindin_uM])
    cable = uniform_cable(4.0, 0.5, 0.25, 16)
    for scheme in ("crank-nicolson", "euler"):
        run = _simulate([cable], parameters, NO_STIMULUS, 1.0, 1e-4, scheme=scheme)
        drift = np.abs(run.concentrations_uM[0] - rest).max()
        lines.append(check(f"rest for 1 s, {scheme}: largest drift in uM", drift, 0.0, 1e-8, source="steady state"))
    return lines


def check_stationary_receptors() -> list[dict]:
    """The closed form agrees with an independent evaluation."""
    parameters = front_parameters()
    lines = []
    for u, expected, half_digit in STATIONARY_OPEN:
        o1, o2, _, _ = stationary_ryanodine(parameters, u)
        lines.append(check(f"receptors: stationary open probability at {u:g} uM", o1 + o2, expected, half_digit,
                           source="independent evaluation"))  # fmt: skip
    return lines


def check_mass() -> list[dict]:
    """Closed cells with a wave keep their calcium; with a stimulus they gain exactly what entered."""
    closed = replace(front_parameters(), plasma_scale=0.0)
    lines = []
    for words, cable, duration_s in (
        ("cable", uniform_cable(32.0, 0.5, 0.25, 128), 0.06),
        ("tree", small_tree(), 0.04),
    ):
        initial = bump(cable, closed)
        before = total_calcium_uM_um3(cable, closed, initial)
        for scheme in ("crank-nicolson", "euler"):
            run = _simulate([cable], closed, NO_STIMULUS, duration_s, 2e-5, scheme=scheme, initial_uM=initial)
            drift = abs(total_calcium_uM_um3(cable, closed, run.concentrations_uM[0]) / before - 1)
            reached = np.isfinite(run.arrival_s).mean()
            lines.append(check(f"closed {words}, {scheme}: relative drift of all calcium", drift, 0.0, 1e-12,
                               source="conservation"))  # fmt: skip
            lines.append(check(f"closed {words}, {scheme}: part that the wave reached", reached, 1.0, 0.0,
                               source="a wave did pass"))  # fmt: skip
    cable = uniform_cable(32.0, 0.5, 0.25, 128)
    rest = bump(cable, closed, closed.rest_cytosol_uM)
    stimulus = Stimulus(onsets_s=(0.00033, 0.0107))
    run = _simulate([cable], closed, stimulus, 0.03, 2e-5)
    gained = total_calcium_uM_um3(cable, closed, run.concentrations_uM[0]) - total_calcium_uM_um3(cable, closed, rest)
    entered = cable.inlet_um2 * float(stimulus.entered_uM_um(np.array(0.03)))
    lines.append(check("stimulated closed cable: calcium gained over calcium that entered", gained / entered, 1.0,
                       1e-9, source="conservation"))  # fmt: skip
    return lines


def check_diffusion() -> list[dict]:
    """A cosine decays at the closed-form rate: free calcium, and calcium with calbindin in the linear limit."""
    lines = []
    length_um, n = 20.0, 100
    cable = uniform_cable(length_um, 0.5, 0.25, n)
    free = replace(front_parameters(), plasma_scale=0.0, ryanodine_per_um2=0.0, er_leak_um_per_s=0.0)
    wave = np.cos(math.pi * cable.position_um / length_um)
    dx = length_um / n
    k2 = 2 * (1 - math.cos(math.pi * dx / length_um)) / dx**2  # of the grid itself: the check is of time and couplings
    unbuffered = replace(free, calbindin_uM=1e-9)
    initial = bump(cable, unbuffered, unbuffered.rest_cytosol_uM)
    initial[:, 0] *= 1 + 0.5 * wave
    run = _simulate([cable], unbuffered, NO_STIMULUS, 0.05, 2e-5, initial_uM=initial)
    amplitude = (run.concentrations_uM[0, :, 0] * wave).sum() / (initial[:, 0] * wave).sum()
    expected = math.exp(-free.cytosol_diffusion_um2_per_s * k2 * 0.05)
    lines.append(check("diffusion of free calcium: amplitude of a cosine after 50 ms over the closed form",
                       amplitude / expected, 1.0, 1e-5, source="heat equation"))  # fmt: skip
    # Small deviations from rest obey a 2 x 2 linear system; its slow eigenvalue is the rate of buffered diffusion.
    on, u, b = free.binding_per_uM_s, free.rest_cytosol_uM, free.rest_calbindin_uM
    release = free.unbinding_per_s + on * u
    system = np.array(
        [
            [-free.cytosol_diffusion_um2_per_s * k2 - on * b, -release],
            [-on * b, -free.calbindin_diffusion_um2_per_s * k2 - release],
        ]
    )
    rates, modes = np.linalg.eig(system)
    slow = int(np.argmax(rates))
    small = bump(cable, free, u)
    small[:, [0, 2]] += 1e-5 * wave[:, None] * modes[:, slow] / abs(modes[0, slow])
    run = _simulate([cable], free, NO_STIMULUS, 0.5, 1e-4, initial_uM=small)
    rest = bump(cable, free, u)
    decay = ((run.concentrations_uM[0] - rest)[:, 0] * wave).sum() / ((small - rest)[:, 0] * wave).sum()
    rate = -math.log(decay) / 0.5
    capacity = free.calbindin_uM * (free.unbinding_per_s / on) / (free.unbinding_per_s / on + u) ** 2
    effective = (free.cytosol_diffusion_um2_per_s + capacity * free.calbindin_diffusion_um2_per_s) / (1 + capacity)
    lines.append(check("buffered diffusion: rate over the slow eigenvalue of the linear system", rate / -rates[slow],
                       1.0, 1e-4, source="linear system"))  # fmt: skip
    lines.append(check("buffered diffusion: rate over that of the effective coefficient", rate / (effective * k2),
                       1.0, 0.01, source="rapid-buffer limit"))  # fmt: skip
    return lines


class ManufacturedChannel:
    """A one-state receptor ``P' = a(u) (1 - P) - c P + s(x, t)`` whose source s makes a chosen P its solution.

    Solved by the exponential midpoint rule at frozen u, as an understudy of the receptors would be.
    """

    n_states = 1
    rate_per_uM_s = 40.0
    shut_per_s = 30.0

    def __init__(self, solution: ManufacturedSolution, euler: bool) -> None:
        self.solution, self.euler, self.time_s = solution, euler, 0.0

    def rest(self, u: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.solution.open_probability(0.0)[None, None, :, None], (1, *u.shape)).copy()

    def advance(self, states: np.ndarray, u: np.ndarray, dt_s: float) -> np.ndarray:
        middle = self.time_s + (dt_s if self.euler else 0.5 * dt_s)
        exact_u, p = self.solution.concentrations(middle)[:, 0], self.solution.open_probability(middle)
        source = (
            self.solution.open_probability_rate(middle)
            - self.rate_per_uM_s * exact_u * (1 - p) + self.shut_per_s * p
        )[None, :, None]  # fmt: skip
        total = self.rate_per_uM_s * u + self.shut_per_s
        target = (self.rate_per_uM_s * u + source) / total
        states[0] = target + (states[0] - target) * np.exp(-total * dt_s)
        self.time_s += dt_s
        return states[0]


class ManufacturedSolution:
    """Smooth u, e, b, P on a closed cable, and the sources that make them a solution of the whole model."""

    omega = 2 * math.pi / 0.02

    def __init__(self, cable: Cable, parameters: Parameters, length_um: float, of_grid: bool) -> None:
        self.cable, self.parameters = cable, parameters
        k = math.pi / length_um
        self.shape = np.cos(k * cable.position_um)
        # Minus second derivative over function: of the cosine itself, or of its differences on the grid, of which it is
        # an eigenfunction. With the latter space adds no error and what remains is that of time.
        self.curvature = 2 * (1 - math.cos(k * cable.spacing_um)) / cable.spacing_um**2 if of_grid else k * k
        self.middle = np.array([1.2, 180.0, 90.0])
        self.swing = np.array([0.6, 40.0, 40.0])
        self.phase = np.array([0.0, 0.7, 1.9])

    def concentrations(self, t: float) -> np.ndarray:
        """(N, 3) u, e, b."""
        return self.middle + self.swing * self.shape[:, None] * np.sin(self.omega * t + self.phase)

    def open_probability(self, t: float) -> np.ndarray:
        return 0.4 + 0.2 * self.shape * np.sin(self.omega * t + 0.3)

    def open_probability_rate(self, t: float) -> np.ndarray:
        return 0.2 * self.shape * self.omega * np.cos(self.omega * t + 0.3)

    def sources(self, t: float) -> np.ndarray:
        """(1, N, 3) in uM um3/s."""
        own, cable = self.parameters, self.cable
        u, e, b = self.concentrations(t).T
        rate = self.omega * self.swing * self.shape[:, None] * np.cos(self.omega * t + self.phase)
        curved = self.curvature * (self.concentrations(t) - self.middle)
        diffusion = np.array([
            own.cytosol_diffusion_um2_per_s, own.er_diffusion_um2_per_s, own.calbindin_diffusion_um2_per_s,
        ])  # fmt: skip
        er, plasma = membrane_fluxes(own, u, e, self.open_probability(t))
        bound = own.unbinding_per_s * (own.calbindin_uM - b) - own.binding_per_uM_s * b * u
        volume = np.column_stack([cable.cytosol_um3, cable.er_um3, cable.cytosol_um3])
        source = volume * (rate + diffusion * curved)
        source[:, 0] -= (
            cable.cytosol_um3 * bound + cable.er_membrane_um2 * er.net + cable.plasma_membrane_um2 * plasma.net
        )
        source[:, 1] += cable.er_membrane_um2 * er.net
        source[:, 2] -= cable.cytosol_um3 * bound
        return source[None]


MANUFACTURED_UM = 4.0
"""Length of the cable with a manufactured solution."""


def manufactured_error(n: int, dt_s: float, scheme: str, duration_s: float, of_grid: bool) -> float:
    """Error of u, e, b at the end (root mean square over its swing, the largest), manufactured solution."""
    length_um = MANUFACTURED_UM
    parameters = front_parameters()
    cable = uniform_cable(length_um, 0.5, 0.25, n)
    solution = ManufacturedSolution(cable, parameters, length_um, of_grid)
    channel = ManufacturedChannel(solution, scheme == "euler")
    simulation = CableSimulation(
        [cable], parameters, dt_s, scheme=scheme, channel=channel, initial_uM=solution.concentrations(0.0),
        check_grid=False,
    )  # fmt: skip
    run = simulation.run(duration_s, NO_STIMULUS, source=solution.sources)
    error = (run.concentrations_uM[0] - solution.concentrations(duration_s)) / solution.swing
    return float(np.sqrt((error**2).mean(axis=0)).max())


def observed_order(errors: list[float]) -> float:
    """Order from errors at steps that halve: of the last two."""
    return math.log2(errors[-2] / errors[-1])


SPACE_CELLS = (8, 16, 32)
TIME_STEPS_S = {"crank-nicolson": (1e-4, 5e-5, 2.5e-5), "euler": (2.5e-5, 1.25e-5, 6.25e-6)}
_TIME_ORDERS = {"crank-nicolson": 2.0, "euler": 1.0}


def manufactured_errors() -> dict[str, list[float]]:
    """Errors of manufactured solutions by spacing (``space``) and by step of each scheme.

    In space with so short a step that time adds less than a hundredth of the error; in time with sources of the grid,
    where space adds none.
    """
    found = {"space": [manufactured_error(n, 1e-5, "crank-nicolson", 0.004, False) for n in SPACE_CELLS]}
    for scheme, steps in TIME_STEPS_S.items():
        found[scheme] = [manufactured_error(16, dt, scheme, 0.01, True) for dt in steps]
    return found


def check_orders(errors: dict[str, list[float]] | None = None) -> list[dict]:
    """Orders in space and time of the whole model with an exchangeable receptor, from `manufactured_errors`."""
    errors = errors or manufactured_errors()
    lines = [check("manufactured solution: order in space", observed_order(errors["space"]), 2.0, 0.1,
                   source="truncation error")]  # fmt: skip
    for scheme, order in _TIME_ORDERS.items():
        lines.append(check(f"manufactured solution: order in time, {scheme}", observed_order(errors[scheme]), order,
                           0.1, source="truncation error"))  # fmt: skip
    return lines


def check_branching() -> list[dict]:
    """Two equal daughters that share their parent's cross-section diffuse like one unbranched cable."""
    own = replace(front_parameters(), plasma_scale=0.0, ryanodine_per_um2=0.0, er_leak_um_per_s=0.0, calbindin_uM=1e-9)
    half = math.sqrt(0.5)
    straight = branched_cable([-1, 0], [5.0, 6.0], [0.5, 0.5], [0.25, 0.25], 0.25)
    forked = branched_cable([-1, 0, 0], [5.0, 6.0, 6.0], [0.5, 0.5 * half, 0.5 * half],
                            [0.25, 0.25 * half, 0.25 * half], 0.25)  # fmt: skip
    found = []
    for cable in (straight, forked):
        initial = bump(cable, own, 2.0, 4.0)
        run = _simulate([cable], own, NO_STIMULUS, 0.05, 2e-5, initial_uM=initial)
        found.append(run.concentrations_uM[0])
    n = len(straight)
    scale = np.ptp(found[0], axis=0) + 1e-3
    first = np.abs((found[1][:n] - found[0]) / scale).max()
    second = np.abs((found[1][n:] - found[0][n - (len(forked) - n) :]) / scale).max()
    far = found[0][-1, 0] / own.rest_cytosol_uM
    return [
        check("branch: two equal daughters against one cable, largest difference over the range", max(first, second),
              0.0, 1e-11, source="symmetry"),
        check("branch: calcium at the far ends over rest", far, "above 2", "range", far > 2, source="it did pass"),
    ]  # fmt: skip


def check_front() -> list[dict]:
    """Speed of the reference front: three grids against independent solvers, and the scheme at four steps."""
    lines = []
    for spacing_um, expected in FRONT_SPEEDS.items():
        speed = richardson(front_speed(spacing_um, 1.25e-5), front_speed(spacing_um, 6.25e-6))
        lines.append(check(f"front at {spacing_um:g} um: speed over that of independent solvers", speed / expected, 1.0,
                           5e-4, source="LSODA method of lines and NEURON rxd"))  # fmt: skip
    for dt_s, expected in FRONT_STEP_SPEEDS.items():
        speed = front_speed(0.25, dt_s)
        lines.append(check(f"front at 0.25 um, step {1e6 * dt_s:g} us: speed over an independent solver's",
                           speed / expected, 1.0, 2e-3, source="prototype of the same scheme"))  # fmt: skip
    pinned = front_run(1.0, 2.5e-5, 0.2)
    lines.append(check("front at 1 um: part of the cable that it reaches", np.isfinite(pinned.arrival_s).mean(), 0.0,
                       0.25, source="pinned in all solvers"))  # fmt: skip
    silent = replace(front_parameters(), ryanodine_per_um2=0.0)
    run = _simulate([front_cable(0.25)], silent, Stimulus(), 0.05, 2.5e-5)
    far = run.peak_uM[0, len(run.peak_uM[0]) // 2] / silent.rest_cytosol_uM
    lines.append(check("no receptors, no wave: largest calcium half-way over rest", far, 1.0, 0.01,
                       source="negative control"))  # fmt: skip
    return lines


def verify_cable() -> list[dict]:
    """All lines of the verification table that concern the cable."""
    return [
        *check_rest(),
        *check_stationary_receptors(),
        *check_mass(),
        *check_diffusion(),
        *check_orders(),
        *check_branching(),
        *check_front(),
    ]
