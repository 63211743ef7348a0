"""Calcium in cables over time: cables and parameters in, arrivals and traces out.

Concentrations stand at whole steps, ryanodine receptors half a step beside them, so that each is advanced with the
other in the middle of its step (second order). The fallback, backward Euler, is of first order, and no concentration
can become negative in it for any step.

The receptors are exchangeable: anything with the methods of `Channel` is advanced once per step, with one call for all
nodes of all cables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from understudy.calcium import cable_kernel as kernel
from understudy.calcium.cable_checks import (
    bad_concentration,
    check_crank_nicolson_step,
    check_positive_step,
    checked_sites,
    initial_concentrations,
    node_words,
    one_for_each,
    whole_steps,
)
from understudy.calcium.cable_geometry import Cable, warn_of_coarse_grid
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.stimulus import Stimulus, drive_of, open_fraction
from understudy.calcium.vector_lanes import LANES
from understudy.errors import InputError

SCHEMES = ("crank-nicolson", "euler")
FRONT_PROBABILITY = 0.1
"""Open probability at which a node counts as reached by the front (found: wave_exam.lua)."""

_STEPS_AT_ONCE = 4096


class Channel(Protocol):
    """What advances the open probability of the ryanodine receptors in place of their ODE.

    Attributes
    ----------
    n_states : numbers stored per node.
    """

    n_states: int

    def rest(self, u: np.ndarray) -> np.ndarray:
        """States (n_states, ...) in equilibrium with cytosolic calcium ``u`` (...) in uM."""

    def advance(self, states: np.ndarray, u: np.ndarray, dt_s: float) -> np.ndarray:
        """Step the states in place with ``u`` in the middle of the step; return the open probability (...) after it.

        All nodes of all cables come in one call, in arrays of shape (blocks, nodes, lanes) behind the state's axis;
        ``u`` is a view that must not be written. The first step of Crank-Nicolson is half as long as the others. What
        else the channel wants to know, as the calcium of the step before, it has to keep among its states.

        A channel with a method ``run_block`` (`understudy.calcium.gated_channel.GatedChannel`) is stepped there, many
        steps of a block of cables in one compiled call, and answers for its open probability itself.
        """


@dataclass(frozen=True)
class CableRun:
    """What cables did; K cables of N nodes.

    Attributes
    ----------
    arrival_s : (K, N) when the open probability first exceeded the front's, inf where it never did.
    peak_uM : (K, N) largest cytosolic calcium.
    time_s : (T,) times of the samples.
    traces : (K, T, S, 4) cytosolic calcium, ER calcium, free calbindin in uM and open probability at the sites.
    concentrations_uM : (K, N, 3) at the end.
    states : (K, N, n_states) of the receptors at the end, half a step later with Crank-Nicolson.
    """

    arrival_s: np.ndarray
    peak_uM: np.ndarray
    time_s: np.ndarray
    traces: np.ndarray
    concentrations_uM: np.ndarray
    states: np.ndarray


def kinetics_of(parameters: Parameters) -> np.ndarray:
    """Constants (20,) of the kernel."""
    values = np.empty(kernel.KINETIC_FIELDS)
    for row, value in (
        (kernel.RYANODINE, parameters.ryanodine_um_per_s),
        (kernel.ER_LEAK, parameters.er_leak_um_per_s),
        (kernel.SERCA, parameters.serca_uM2_um_per_s),
        (kernel.SERCA_AFFINITY, parameters.serca_affinity_uM),
        (kernel.PMCA, parameters.pmca_uM_um_per_s),
        (kernel.PMCA_AFFINITY_SQUARED, parameters.pmca_affinity_uM**2),
        (kernel.NCX, parameters.ncx_uM_um_per_s),
        (kernel.NCX_AFFINITY, parameters.ncx_affinity_uM),
        (kernel.PLASMA_LEAK, parameters.plasma_leak_um_per_s),
        (kernel.OUTSIDE, parameters.outside_uM),
        (kernel.CALBINDIN, parameters.calbindin_uM),
        (kernel.BINDING, parameters.binding_per_uM_s),
        (kernel.UNBINDING, parameters.unbinding_per_s),
        (kernel.IP3_RECEPTOR, parameters.ip3_receptor_um_per_s),
        (kernel.OPENING, parameters.opening_per_uM4_s),
        (kernel.CLOSING, parameters.closing_per_s),
        (kernel.SECOND_OPENING, parameters.second_opening_per_uM3_s),
        (kernel.SECOND_CLOSING, parameters.second_closing_per_s),
        (kernel.INACTIVATION, parameters.inactivation_per_s),
        (kernel.RECOVERY, parameters.recovery_per_s),
    ):
        values[row] = value
    return values


def nodes_of(cable: Cable, parameters: Parameters) -> np.ndarray:
    """Geometry (N, 7) of the kernel."""
    return np.column_stack([
        cable.cytosol_um3,
        cable.er_um3,
        cable.er_membrane_um2,
        cable.plasma_membrane_um2,
        parameters.cytosol_diffusion_um2_per_s * cable.cytosol_um,
        parameters.er_diffusion_um2_per_s * cable.er_um,
        parameters.calbindin_diffusion_um2_per_s * cable.cytosol_um,
    ])  # fmt: skip


def side_slots(parent: np.ndarray) -> np.ndarray:
    """Slots (N,) of the nodes that have children besides their successor, -1 for the others."""
    slots = np.full(len(parent), -1, dtype=np.int64)
    aside = parent[(parent >= 0) & (parent != np.arange(len(parent)) - 1)]
    unique = np.unique(aside)
    slots[unique] = np.arange(len(unique))
    return slots


def total_calcium_uM_um3(cable: Cable, parameters: Parameters, concentrations_uM: np.ndarray) -> float:
    """Free and bound calcium of cytosol and ER; the concentrations are (N, 3)."""
    u, e, b = concentrations_uM.T
    return math.fsum(cable.cytosol_um3 * (u + (parameters.calbindin_uM - b)) + cable.er_um3 * e)


def _aligned(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros on a cache line."""
    count = math.prod(shape)
    raw = np.zeros(count + 8)
    start = (-raw.ctypes.data // 8) % 8
    return raw[start : start + count].reshape(shape)


class CableSimulation:
    """Cables of one topology that are stepped together, eight to a block of lanes; a single one without lanes.

    The bits of a cable depend neither on its lane nor on the cables beside it. A cable simulated without lanes agrees
    with the same cable in lanes to rounding only, so ``lanes`` can be set.

    Parameters
    ----------
    cables : cables with the same ``parent``.
    parameters : one for all, or one for each.
    dt_s : time step.
    scheme : one of `SCHEMES`.
    channel : None for the Keizer-Levine receptors.
    passes : linearisations per Crank-Nicolson step. One keeps the second order, unless there are IP3 receptors, whose
        open probability is taken from the pass before; None for one or, with them, two.
    initial_uM : (K, N, 3) or (N, 3) concentrations at the beginning; None for rest. Receptors begin in equilibrium.
    lanes : False only for a single cable; None for what is faster.
    check_grid : whether to warn of a grid that does not resolve the front.

    Raises
    ------
    InputError : cables of different topology, steps that are no positive number or too long for the scheme,
        concentrations of wrong shape, negative or not finite.
    """

    def __init__(
        self,
        cables: Sequence[Cable],
        parameters: Parameters | Sequence[Parameters],
        dt_s: float,
        *,
        scheme: str = "crank-nicolson",
        channel: Channel | None = None,
        passes: int | None = None,
        initial_uM: np.ndarray | None = None,
        lanes: bool | None = None,
        check_grid: bool = True,
    ) -> None:
        cables = list(cables)
        if not cables:
            raise InputError("cables: found none, accepted is at least one")
        if scheme not in SCHEMES:
            raise InputError(f"scheme: found {scheme!r}, accepted are {', '.join(SCHEMES)}")
        if passes is None:
            own = [parameters] if isinstance(parameters, Parameters) else parameters
            passes = 2 if any(each.ip3_receptor_per_um2 > 0 for each in own) else 1
        if passes not in (1, 2):
            raise InputError(f"passes: found {passes}, accepted are 1 and 2")
        check_positive_step(dt_s)
        self.cables, self.count = cables, len(cables)
        self.parameters = one_for_each(parameters, self.count, "parameters")
        self.parent = np.ascontiguousarray(cables[0].parent, dtype=np.int64)
        self.dt_s, self.euler, self.passes, self.channel = float(dt_s), scheme == "euler", passes, channel
        for k, (cable, own) in enumerate(zip(cables, self.parameters, strict=True)):
            if not np.array_equal(cable.parent, self.parent):
                raise InputError(f"cables: found another topology in cable {k}, accepted are cables of one topology")
            if not self.euler:
                check_crank_nicolson_step(dt_s, own, k)
            if check_grid and own.ryanodine_per_um2 > 0:
                warn_of_coarse_grid(cable, own)
        n = len(self.parent)
        self.lanes = self.count > 1 if lanes is None else lanes
        if not self.lanes and self.count > 1:
            raise InputError(f"lanes: found False for {self.count} cables, accepted is False for a single cable only")
        width = LANES if self.lanes else 1
        self.blocks = -(-self.count // width)
        tail = (LANES,) if self.lanes else ()
        self._of_lane = np.minimum(np.arange(self.blocks * width), self.count - 1).reshape(self.blocks, width)
        filled = np.arange(self.blocks * width).reshape(self.blocks, width) < self.count
        self._used = (filled << np.arange(width)).sum(axis=1)
        self.side = side_slots(self.parent)
        self._nodes = self._pack(np.array([nodes_of(c, p) for c, p in zip(cables, self.parameters, strict=True)]))
        self._kinetics = self._pack(np.array([kinetics_of(own) for own in self.parameters]))
        self._with_ip3 = any(own.ip3_receptor_per_um2 > 0 for own in self.parameters)
        initial = initial_concentrations(self.parameters, n, initial_uM)
        self._state = self._pack(initial)
        self._p = _aligned((self.blocks, n, *tail))
        if channel is None:
            fractions = [
                np.stack(stationary_ryanodine(own, start[:, 0])[1:], axis=1)
                for own, start in zip(self.parameters, initial, strict=True)
            ]
            self._channel = self._pack(np.array(fractions))
            self._p[:] = 1 - self._channel.reshape(self.blocks, n, 3, *tail)[:, :, 1:].sum(axis=2)
        else:
            self._states = np.array(channel.rest(self._concentrations()[:, :, 0]), dtype=float)
            expected = (channel.n_states, self.blocks, n, width)
            if self._states.shape != expected:
                raise InputError(f"channel: found states of shape {self._states.shape}, accepted is {expected}")
        self._before = self._p.copy()
        self._solver = _aligned((kernel.SOLVER_FIELDS * n, *tail))
        self._sides = _aligned((kernel.SIDE_FIELDS * int(self.side.max() + 1), *tail))
        self._arrival = np.full((self.blocks, n, *tail), np.inf)
        self._arrived = np.zeros((self.blocks, n), dtype=np.uint8)
        self._peak = np.zeros((self.blocks, n, *tail))
        self.steps_done = 0

    def _pack(self, values: np.ndarray) -> np.ndarray:
        """Rows of the kernel from (K, ...): (blocks, rows) or (blocks, rows, lanes)."""
        rows = values.reshape(self.count, -1)[self._of_lane]
        packed = _aligned((self.blocks, rows.shape[2], LANES) if self.lanes else (self.blocks, rows.shape[2]))
        packed[:] = rows.transpose(0, 2, 1) if self.lanes else rows[:, 0]
        return packed

    def _unpack(self, packed: np.ndarray, *shape: int) -> np.ndarray:
        """(K, *shape) from rows of the kernel."""
        rows = packed.transpose(0, 2, 1) if self.lanes else packed[:, None]
        return rows.reshape(rows.shape[0] * rows.shape[1], *shape)[: self.count].copy()

    @property
    def concentrations_uM(self) -> np.ndarray:
        """(K, N, 3) cytosolic calcium, ER calcium and free calbindin now."""
        return self._unpack(self._state, len(self.parent), 3)

    def _concentrations(self) -> np.ndarray:
        """View (blocks, N, 3, lanes or 1)."""
        return self._state.reshape(self.blocks, len(self.parent), 3, -1)

    def run(
        self,
        duration_s: float,
        stimuli: Stimulus | Sequence[Stimulus],
        *,
        sites: Sequence[int] = (),
        every: int = 1,
        source: Callable[[float], np.ndarray] | None = None,
    ) -> CableRun:
        """Advance all cables from where they are.

        Parameters
        ----------
        duration_s : rounded to whole steps.
        stimuli : one for all or one for each cable; their times count from the simulation's beginning.
        sites : nodes whose traces are kept, after every so many steps (``every``).
        source : further sources (K, N, 3) of u, e and b in uM um3/s at a time in s, for manufactured solutions; taken
        in
            the middle of a Crank-Nicolson step, at the end of an Euler step.

        Raises
        ------
        InputError : a concentration became negative or was no longer a number, with time, place and likely cause.
        """
        stimuli = one_for_each(stimuli, self.count, "stimuli")
        steps = whole_steps(duration_s, self.dt_s)
        opened = []
        for own, stimulus in zip(self.parameters, stimuli, strict=True):
            for name in ("voltage_mV", "ip3_uM"):
                values = getattr(stimulus, name)
                if values is not None and len(values) < self.steps_done + steps:
                    raise InputError(
                        f"{name}: found {len(values)} steps, accepted is one for each of the "
                        f"{self.steps_done + steps} steps"
                    )
            voltage = stimulus.voltage_mV
            opened.append(None if voltage is None else open_fraction(voltage, self.dt_s, own.rest_voltage_mV))
        sites = checked_sites(sites, len(self.parent))
        end = self.steps_done + steps
        sampled = np.arange(self.steps_done // every + 1, end // every + 1) * every if len(sites) else np.arange(0)
        tail = (LANES,) if self.lanes else ()
        traces = np.zeros((self.blocks, len(sampled), 4 * len(sites), *tail))
        taken = 0
        while self.steps_done < end:
            count = min(_STEPS_AT_ONCE, end - self.steps_done)
            drive = np.array([
                drive_of(own, stimulus, cable.inlet_um2, part, self.steps_done, count, self.dt_s)
                for own, stimulus, cable, part in zip(self.parameters, stimuli, self.cables, opened, strict=True)
            ])  # fmt: skip
            packed = np.ascontiguousarray(self._pack(drive).reshape(self.blocks, count, kernel.DRIVE_FIELDS, *tail))
            samples = (self.steps_done + count) // every - self.steps_done // every if len(sites) else 0
            step = every if len(sites) else self.steps_done + count + 1
            part = traces[:, taken : taken + samples]
            if source is None and (self.channel is None or hasattr(self.channel, "run_block")):
                self._run_compiled(packed, sites, step, part)
            else:
                self._run_step_by_step(packed, sites, step, part, source)
            taken += samples
            self.steps_done += count
        n = len(self.parent)
        if self.channel is None:
            states = self._unpack(self._channel, n, 3)
        else:
            states = np.moveaxis(self._states, (1, 3), (0, 1)).reshape(-1, self.channel.n_states, n)
            states = states[: self.count].transpose(0, 2, 1).copy()
        flat = traces.reshape(self.blocks, traces.shape[1] * traces.shape[2], *tail)
        return CableRun(
            arrival_s=self._unpack(self._arrival, n),
            peak_uM=self._unpack(self._peak, n),
            time_s=sampled * self.dt_s,
            traces=self._unpack(flat, len(sampled), len(sites), 4),
            concentrations_uM=self.concentrations_uM,
            states=states,
        )

    def _run_compiled(self, drive, sites, every, traces) -> None:
        for b in range(self.blocks):
            common = (
                self._p[b], self._nodes[b], self.parent, self.side, self._kinetics[b], drive[b], 0, self.steps_done,
                self.dt_s, self.passes, self.euler, self._with_ip3, self._used[b], FRONT_PROBABILITY, self._arrival[b],
                self._arrived[b], self._peak[b], sites, every, traces[b], self._solver, self._sides, self._before[b],
            )  # fmt: skip
            if self.channel is None:
                done = kernel.run_ryanodine_cable(self._state[b], self._channel[b], *common)
            else:
                done = self.channel.run_block(b, self._states, self.lanes, self._state[b], *common)
            if not self._holds(b):
                self._refuse(b, self.steps_done + done)

    def _run_step_by_step(self, drive, sites, every, traces, source) -> None:
        rows = self._state[:, :0]
        samples = 0
        for k in range(drive.shape[1]):
            step = self.steps_done + k
            if source is not None:
                time_s = (step + (1.0 if self.euler else 0.5)) * self.dt_s
                rows = self._pack(np.asarray(source(time_s), dtype=float))
            if self.euler:
                self._advance_channel(self.dt_s, step + 1.0)
            elif step == 0:
                self._advance_channel(0.5 * self.dt_s, 0.5)
            if step == 0 and self.channel is not None:
                # A channel's open probability is not known before its first step.
                self._before[:] = self._p
            if step == 0 and not self.euler:
                self._observe(0.5)
            wrong = kernel.step_cables(
                self._state, self._p, self._nodes, self.parent, self.side, self._kinetics, drive[:, k], 0, rows,
                self.dt_s, self.passes, self.euler, self._with_ip3, self._used, self._solver, self._sides,
            )  # fmt: skip
            if wrong >= 0:
                self._refuse(wrong, step + 1)
            if not self.euler:
                self._advance_channel(self.dt_s, step + 1.5)
            if (step + 1) % every == 0:
                weight = 1.0 if self.euler else 0.5
                for b in range(self.blocks):
                    kernel.sample(self._state[b], self._p[b], self._before[b], weight, sites, traces[b, samples])
                samples += 1
            self._observe(step + (1.0 if self.euler else 1.5))

    def _advance_channel(self, dt_s: float, steps: float) -> None:
        n = len(self.parent)
        u = self._concentrations()[:, :, 0]
        if self.channel is None:
            for b in range(self.blocks):
                kernel.advance_ryanodine(
                    self._channel[b], self._p[b], self._state[b], 3, self._kinetics[b], dt_s, n, self.euler
                )
            return
        p = np.asarray(self.channel.advance(self._states, u, dt_s), dtype=float)
        if p.shape != u.shape:
            raise InputError(f"channel: found an open probability of shape {p.shape}, accepted is {u.shape}")
        if not ((p >= 0) & (p <= 1)).all():
            b, i, lane = np.argwhere(~((p >= 0) & (p <= 1)))[0]
            cable = int(self._of_lane[b, lane])
            raise InputError(
                f"channel: found the open probability {p[b, i, lane]:g} in cable {cable} at {self._place(cable, i)}, "
                f"t = {steps * self.dt_s:g} s; accepted are numbers from 0 to 1"
            )
        self._p[:] = p.reshape(self.blocks, n, *self._p.shape[2:])

    def _observe(self, steps: float) -> None:
        kernel.observe_cables(
            self._p, self._before, steps * self.dt_s, self.dt_s, FRONT_PROBABILITY, self._state, self._arrival,
            self._arrived, self._peak,
        )  # fmt: skip

    def _place(self, cable: int, node: int) -> str:
        return node_words(self.cables[cable], node)

    def _holds(self, block: int) -> bool:
        values = self._state[block]
        return bool((values >= 0).all() and np.isfinite(values).all())

    def _refuse(self, block: int, steps: int) -> None:
        values = self._concentrations()[block]
        node, quantity, lane = np.argwhere(~((values >= 0) & np.isfinite(values)))[0]
        cable = int(self._of_lane[block, lane])
        raise bad_concentration(
            quantity, values[node, quantity, lane], cable, self._place(cable, node), steps * self.dt_s, self.dt_s,
            self.euler,
        )  # fmt: skip


def simulate_cables(
    cables: Sequence[Cable],
    parameters: Parameters | Sequence[Parameters],
    stimuli: Stimulus | Sequence[Stimulus],
    duration_s: float,
    dt_s: float,
    *,
    sites: Sequence[int] = (),
    every: int = 1,
    **options,
) -> CableRun:
    """Cables from rest for a given time; see `CableSimulation` (``options``) and its ``run``."""
    return CableSimulation(cables, parameters, dt_s, **options).run(duration_s, stimuli, sites=sites, every=every)
