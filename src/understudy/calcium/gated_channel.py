"""Ryanodine receptors inside the cable whose gates a rate network moves, or an analytic closure, in compiled code.

`GatedChannel` is a `understudy.calcium.cable_dynamics.Channel`, and it advances a whole block of cables over many steps
in one compiled call where the simulation lets it (`run_block`). Numbers stored per node, with u, e and b: 4 with one
gate (`one_state_closure`, a network that sees its gate), 5 with a chain of two (`two_state_closure`, a chain network)
or with one gate and a filter, 6 with a chain and a filter; the receptors' ODE has 6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from understudy.calcium import rate_kernel as kernel
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.rate_network import WEIGHT_NAMES, RateForm, RateNetwork
from understudy.calcium.vector_lanes import LANES
from understudy.errors import InputError

RYANODINE = "ryanodine receptor"
UPDATES = {"exponential": kernel.EXPONENTIAL, "sdirk": kernel.SDIRK, "euler": kernel.EULER}
"""Steps with held rates: exact; the two-stage method that the receptors' ODE is solved with, limited so that gates stay
probabilities; backward Euler."""


@dataclass(frozen=True)
class Excursion:
    """What the monitor saw outside of the domain of training.

    Attributes
    ----------
    looked, outside : node-steps that were looked at, and those of them outside.
    first_step, first_node, first_cable : where it began; None if it did not.
    """

    looked: int
    outside: int
    first_step: int | None = None
    first_node: int | None = None
    first_cable: int | None = None

    @property
    def share(self) -> float:
        """Part of the node-steps outside."""
        return self.outside / self.looked if self.looked else 0.0


@dataclass(frozen=True)
class Domain:
    """Cells of a grid over the network's scaled inputs that training visited, and their neighbours.

    Attributes
    ----------
    cells : per input, from -1 to 1.
    visited : (cells ** inputs,) uint8, the last input fastest.
    """

    cells: int
    visited: np.ndarray


def visited_domain(features: np.ndarray, cells: int = 24) -> Domain:
    """Domain of scaled inputs (N, I); a cell and all that touch it count as visited."""
    features = np.asarray(features, dtype=float)
    n_inputs = features.shape[1]
    grid = np.zeros((cells,) * n_inputs, dtype=bool)
    inside = (np.abs(features) <= kernel.DOMAIN_EDGE).all(axis=1)
    place = ((features[inside] + kernel.DOMAIN_EDGE) * (0.5 / kernel.DOMAIN_EDGE * cells)).astype(int)
    grid[tuple(np.minimum(place, cells - 1).T)] = True
    for axis in range(n_inputs):
        moved = np.moveaxis(grid, axis, 0)
        grown = moved.copy()
        grown[1:] |= moved[:-1]
        grown[:-1] |= moved[1:]
        grid = np.moveaxis(grown, 0, axis)
    return Domain(cells, np.ascontiguousarray(grid).reshape(-1).astype(np.uint8))


def check_domain(domain: Domain | None, form: RateForm) -> None:
    """Refuse a domain of other inputs than a network of this form has (`InputError`)."""
    if domain is not None and len(domain.visited) != domain.cells**form.n_inputs:
        raise InputError(
            f"domain: found {len(domain.visited)} cells, accepted are {domain.cells}^{form.n_inputs} for this network"
        )


class GatedChannel:
    """Receptors with gates; build one with `network_channel`, `one_state_closure` or `two_state_closure`.

    A copy (`copy.deepcopy`) has its own monitor.
    """

    def __init__(self, whole, numbers, weights, domain: Domain | None, rest, n_states: int) -> None:
        self.n_states = n_states
        self._whole, self._numbers, self._weights = whole, numbers, weights
        self._domain = np.ones(1, dtype=np.uint8) if domain is None else domain.visited
        self._rest = rest
        self._monitor = np.zeros((0, kernel.MONITOR_FIELDS), dtype=np.int64)
        self._work: np.ndarray | None = None
        self._steps = 0

    def __deepcopy__(self, memo):
        other = GatedChannel(self._whole, self._numbers, self._weights, None, self._rest, self.n_states)
        other._domain, other._monitor, other._steps = self._domain, self._monitor.copy(), self._steps
        memo[id(self)] = other
        return other

    def rest(self, u: np.ndarray) -> np.ndarray:
        """States (n_states, ...) in equilibrium with cytosolic calcium ``u`` (...) in uM; the monitor begins anew."""
        self._monitor = np.zeros((u.shape[0], kernel.MONITOR_FIELDS), dtype=np.int64)
        self._steps = 0
        return self._rest(np.asarray(u, dtype=float))

    def _room(self, lanes: bool) -> np.ndarray:
        rows = 8 + int(self._whole[kernel.FIRST] + self._whole[kernel.SECOND])
        shape = (rows, LANES) if lanes else (rows,)
        if self._work is None or self._work.shape != shape:
            raw = np.zeros(rows * LANES + 8)
            start = (-raw.ctypes.data // 8) % 8
            self._work = raw[start : start + int(np.prod(shape))].reshape(shape)
        return self._work

    def advance(self, states: np.ndarray, u: np.ndarray, dt_s: float) -> np.ndarray:
        """Step the states in place; see `understudy.calcium.cable_dynamics.Channel`."""
        blocks, n, width = u.shape
        lanes = width > 1
        u = np.ascontiguousarray(u)
        p = np.empty_like(u)
        for b in range(blocks):
            own = (states[:, b], p[b], u[b]) if lanes else (states[:, b, :, 0], p[b, :, 0], u[b, :, 0])
            kernel.advance_gates(
                *own, 1, dt_s, n, self._whole, self._numbers, self._weights, self._domain, (1 << width) - 1,
                self._monitor[b], self._steps, self._room(lanes),
            )  # fmt: skip
        self._steps += 1
        return p

    def run_block(self, block: int, states: np.ndarray, lanes: bool, *arguments) -> int:
        """Many steps of one block; ``arguments`` of `understudy.calcium.rate_kernel.run_gated_cable` in its order."""
        own = states[:, block] if lanes else states[:, block, :, 0]
        return kernel.run_gated_cable(
            arguments[0], own, *arguments[1:], self._whole, self._numbers, self._weights, self._domain,
            self._monitor[block], self._room(lanes),
        )  # fmt: skip

    @property
    def excursion(self) -> Excursion:
        """What the monitor saw since `rest`."""
        looked, outside = (int(self._monitor[:, k].sum()) for k in (kernel.LOOKED, kernel.OUTSIDE))
        left = np.flatnonzero(self._monitor[:, kernel.OUTSIDE])
        if not len(left):
            return Excursion(looked, outside)
        block = left[np.argmin(self._monitor[left, kernel.FIRST_STEP])]
        step, node, lane = (int(self._monitor[block, k]) for k in range(kernel.FIRST_STEP, kernel.FIRST_LANE + 1))
        return Excursion(looked, outside, step, node, int(block) * LANES + lane)


def _whole(gating: int, source: int, update: str) -> np.ndarray:
    if update not in UPDATES:
        raise InputError(f"update: found {update!r}, accepted are {', '.join(UPDATES)}")
    whole = np.zeros(kernel.WHOLE_FIELDS, dtype=np.int64)
    whole[kernel.GATING], whole[kernel.SOURCE], whole[kernel.UPDATE] = gating, source, UPDATES[update]
    return whole


def _filled(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    filled = np.zeros(shape)
    filled[tuple(slice(0, n) for n in values.shape)] = values
    return filled


def network_channel(
    network: RateNetwork, *, update: str = "sdirk", domain: Domain | None = None, watch_every: int = 8
) -> GatedChannel:
    """Receptors moved by a network.

    Parameters
    ----------
    update : one of `UPDATES`.
    domain : where training was; None for no monitor.
    watch_every : steps between two looks of the monitor.

    Raises
    ------
    InputError : a network of another channel, with other gates or inputs than a receptor has; a domain of other inputs.
    """
    form = network.form
    if form.channel != RYANODINE:
        raise InputError(f"rate network: found one of the channel {form.channel!r}, accepted is {RYANODINE!r}")
    if form.gating == "pair" or len(form.drives) != 1 or form.drives[0].scale != "log" or form.powers[0] != 1:
        raise InputError(
            f"rate network: found gating {form.gating!r}, {len(form.drives)} drives and powers {form.powers}, accepted "
            "are single gates and chains that cytosolic calcium alone drives on a log scale, with power 1"
        )
    check_domain(domain, form)
    whole = _whole(kernel.CHAIN if form.gating == "chain" else kernel.SINGLE, kernel.NETWORK, update)
    whole[kernel.FILTERED], whole[kernel.SEES_GATES] = form.filter_s is not None, form.sees_gates
    whole[kernel.INPUTS] = form.n_inputs
    if domain is not None:
        whole[kernel.CELLS], whole[kernel.WATCH_EVERY] = domain.cells, watch_every
    low, high = form.drives[0].ends
    numbers = np.zeros(kernel.CONSTANTS + 5)
    numbers[kernel.CENTRE], numbers[kernel.SCALE] = 0.5 * (low + high), 2 / (high - low)
    numbers[kernel.FILTER_TIME], numbers[kernel.OPEN_SHARE] = form.filter_s or 1.0, 1.0
    first, second = (-(-width // 4) * 4 for width in form.hidden)
    whole[kernel.FIRST], whole[kernel.SECOND], whole[kernel.N_RATES] = first, second, form.n_rates
    w1, b1, w2, b2, w3, b3, linear = (getattr(network, name).detach().numpy() for name in WEIGHT_NAMES)
    weights = np.concatenate([
        _filled(b1, (first,)), _filled(w1.T, (form.n_inputs, first)), _filled(b2, (second,)),
        _filled(w2.T, (first, second)), b3, _filled(w3.T, (second, form.n_rates)), linear.T,
    ], axis=None)  # fmt: skip

    def rest(u):
        with torch.no_grad():
            states = network.rest(torch.from_numpy(u)[..., None]).numpy()
        return np.ascontiguousarray(np.moveaxis(states, -1, 0))

    return GatedChannel(whole, numbers, weights, domain, rest, form.n_states)


def _closure(parameters: Parameters, gating: int, update: str, open_share: float, rest, n_states: int) -> GatedChannel:
    own = parameters
    numbers = np.zeros(kernel.CONSTANTS + 5)
    numbers[kernel.OPEN_SHARE] = open_share
    numbers[kernel.CONSTANTS :] = (
        own.opening_per_uM4_s, own.closing_per_s, own.second_opening_per_uM3_s / own.second_closing_per_s,
        own.inactivation_per_s, own.recovery_per_s,
    )  # fmt: skip
    return GatedChannel(_whole(gating, kernel.ANALYTIC, update), numbers, np.zeros(1), None, rest, n_states)


def one_state_closure(parameters: Parameters, *, update: str = "sdirk") -> GatedChannel:
    """Receptors with the second open state in equilibrium and the refractory share frozen at that of rest.

    ``P' = ka+ u^4 (1 - c2 - P) - ka- P / (1 + (kb+/kb-) u^3)`` (model card, from Keizer and Levine 1996).
    """
    frozen = float(stationary_ryanodine(parameters, parameters.rest_cytosol_uM)[3])

    def rest(u):
        o1, o2, c1, _ = stationary_ryanodine(parameters, u)
        return ((o1 + o2) / (o1 + o2 + c1))[None]

    return _closure(parameters, kernel.SINGLE, update, 1 - frozen, rest, 1)


def two_state_closure(parameters: Parameters, *, update: str = "sdirk") -> GatedChannel:
    """Receptors as closed - open - refractory, the second open state in equilibrium: ``o1 = P/(1 + (kb+/kb-) u^3)``.

    Almost exact (model card): only the lag of the second open state is lost.
    """

    def rest(u):
        o1, o2, _, c2 = stationary_ryanodine(parameters, u)
        return np.stack([o1 + o2, c2])

    return _closure(parameters, kernel.CHAIN, update, 1.0, rest, 2)
