"""A network of opening and closing rates for the gates of any channel, and updates that keep every gate a probability.

The network answers with the logarithms of rates, so that rates are positive whatever its weights; the time step is
taken in closed form with the rates held, not by the network.

*Why probabilities stay probabilities.* Held rates make the gates a Markov chain. A single gate moves to

    P' = Pinf + (P - Pinf) exp(-(a + b) dt),   Pinf = a / (a + b),

which is ``w P + (1 - w) Pinf`` with ``w = exp(-(a + b) dt)`` in [0, 1]: a mean of two numbers of [0, 1], for any
a, b > 0 and any dt >= 0. The chain closed - open - refractory has the generator G of three states, with rates of at
least 0 off its diagonal and columns of sum 0; ``exp(G dt) = lim (1 - G dt/n)^-n``, and each factor is the inverse of a
column-dominant M-matrix with column sums 1, hence a matrix of non-negative numbers with column sums 1, which maps the
simplex P, q >= 0, P + q <= 1 into itself. What rounding adds to the closed form is cut off. No property of the network
enters but that its rates are finite and not negative, which `LOG_RATE_RANGE` sees to.

*Steps do not matter for a held input.* ``exp(G s) exp(G t) = exp(G (s + t))``: two steps give what one of their sum
gives, to rounding, whenever rates depend on drives alone (`RateForm.sees_gates` false and no filter, or a filter at
rest). Rates that depend on the gate or on a moving filter are taken in the middle of the step (for the gate after a
half step with the rates of its beginning), so that steps agree to second order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import nn

from understudy.errors import InputError

GATINGS = {"single": (1, 2), "chain": (2, 4), "pair": (2, 4)}
"""Number of gates and of rates: one gate (a, b); closed - open - refractory with gates (P, q) and rates closed to
open, open to closed, open to refractory, refractory to open; two independent gates (a1, b1, a2, b2)."""

LOG_RATE_RANGE = (-20.0, 25.0)
"""Natural logarithms of rates in 1/s: 2e-9 to 7e10 (choice; a Keizer-Levine receptor at 50 uM opens at 1e10/s)."""

ACTIVATION_KNEE = 1.5


@dataclass(frozen=True)
class Drive:
    """An input of the network and the range in which it is resolved.

    Attributes
    ----------
    scale : 'log' for what is seen as logarithm, 'linear' for what is seen as it is.
    low, high : mapped to -1 and 1; the network answers outside too, its training says how well.
    """

    name: str
    unit: str
    scale: str
    low: float
    high: float

    def __post_init__(self) -> None:
        if self.scale not in ("log", "linear"):
            raise InputError(f"scale of {self.name}: found {self.scale!r}, accepted are log and linear")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InputError(f"range of {self.name}: found {self.low:g} to {self.high:g}, accepted is low < high")
        if self.scale == "log" and self.low <= 0:
            raise InputError(f"low of {self.name}: found {self.low:g}, accepted on a log scale is a positive number")

    @property
    def ends(self) -> tuple[float, float]:
        """Ends of the range as the network sees them, before they become -1 and 1."""
        return (math.log(self.low), math.log(self.high)) if self.scale == "log" else (self.low, self.high)


CALCIUM = Drive("cytosolic calcium", "uM", "log", 0.02, 50.0)


@dataclass(frozen=True)
class RateForm:
    """What a rate network sees and moves.

    Attributes
    ----------
    channel : name of the channel; a network of another one is refused.
    drives : what acts on the channel.
    gating : one of `GATINGS`.
    filter_s : time constant of a causal filter of the first drive, ``s' = (drive - s) / filter_s``, seen beside it on
        the same scale; None for no filter.
    sees_gates : whether rates depend on the gates too.
    powers : open probability = product of the gates to these powers; for the chain (1, 0).
    hidden : widths of the hidden layers.
    """

    channel: str
    drives: tuple[Drive, ...]
    gating: str = "single"
    filter_s: float | None = None
    sees_gates: bool = False
    powers: tuple[int, ...] = (1,)
    hidden: tuple[int, ...] = (12, 12)

    def __post_init__(self) -> None:
        if self.gating not in GATINGS:
            raise InputError(f"gating: found {self.gating!r}, accepted are {', '.join(GATINGS)}")
        if not self.drives:
            raise InputError("drives: found none, accepted is at least one")
        if len(self.powers) != self.n_gates or min(self.powers) < 0 or max(self.powers) < 1:
            raise InputError(f"powers: found {self.powers}, accepted are {self.n_gates} of at least 0, not all 0")
        if self.filter_s is not None and not (math.isfinite(self.filter_s) and self.filter_s > 0):
            raise InputError(f"filter_s: found {self.filter_s:g}, accepted is a positive number")
        if len(self.hidden) != 2 or min(self.hidden) < 1:
            raise InputError(f"hidden: found {self.hidden}, accepted are two widths of at least 1")

    @property
    def n_gates(self) -> int:
        return GATINGS[self.gating][0]

    @property
    def n_rates(self) -> int:
        return GATINGS[self.gating][1]

    @property
    def n_states(self) -> int:
        """Numbers stored per node: the gates, then the filter."""
        return self.n_gates + (self.filter_s is not None)

    @property
    def n_inputs(self) -> int:
        return len(self.drives) + (self.filter_s is not None) + (self.n_gates if self.sees_gates else 0)

    @property
    def n_weights(self) -> int:
        first, second = self.hidden
        return (self.n_inputs + 1) * first + (first + 1) * second + (second + 1 + self.n_inputs) * self.n_rates


def squash(x: torch.Tensor) -> torch.Tensor:
    """A smooth step from -1 to 1 without transcendental functions, so that a solver computes it in few operations."""
    x = x.clamp(-ACTIVATION_KNEE, ACTIVATION_KNEE)
    return x - (4 / 27) * x * x * x


def _relax_pair(gate, opening, closing, dt_s):
    total = opening + closing
    rest = opening / total
    return rest + (gate - rest) * torch.exp(-total * dt_s)


def _relax_chain(gates, rates, dt_s):
    opening, closing, entering, leaving = rates.unbind(-1)
    p, q = gates.unbind(-1)
    # Closed : open : refractory are 1 : a/b : (a/b)(f/g) at rest, here without division by small rates.
    weights = closing * leaving, opening * leaving, opening * entering
    whole = weights[0] + weights[1] + weights[2]
    p_rest, q_rest = weights[1] / whole, weights[2] / whole
    # Non-zero eigenvalues -fast and -slow; the discriminant is a sum of squares, since such a chain is reversible.
    left, right = opening + closing, entering + leaving
    root = torch.sqrt((left - right) ** 2 + 4 * closing * entering)
    fast = 0.5 * (left + right + root)
    slow = whole / fast
    # exp(G t) on the deviation, by Newton's divided differences of the exponential at the two eigenvalues.
    decay = torch.exp(-slow * dt_s)
    gap = (fast - slow) * dt_s
    spread = decay * dt_s * torch.where(gap > 1e-8, -torch.expm1(-gap) / gap.clamp(min=1e-8), torch.ones_like(gap))
    x, y = p - p_rest, q - q_rest
    x_slope = -opening * (x + y) - (closing + entering) * x + leaving * y + slow * x
    y_slope = entering * x - leaving * y + slow * y
    p = (p_rest + decay * x + spread * x_slope).clamp(0, 1)
    q = (q_rest + decay * y + spread * y_slope).clamp(min=0)
    return torch.stack([p, torch.minimum(q, 1 - p)], dim=-1)


def relax(gates: torch.Tensor, rates: torch.Tensor, dt_s, gating: str) -> torch.Tensor:
    """Gates (..., G) after ``dt_s`` (a number or (...)) with the rates (..., R) in 1/s held; exact for held rates."""
    if gating == "chain":
        return _relax_chain(gates, rates, dt_s)
    if gating == "single":
        return _relax_pair(gates[..., 0], rates[..., 0], rates[..., 1], dt_s)[..., None]
    first = _relax_pair(gates[..., 0], rates[..., 0], rates[..., 1], dt_s)
    return torch.stack([first, _relax_pair(gates[..., 1], rates[..., 2], rates[..., 3], dt_s)], dim=-1)


def stationary_gates(rates: torch.Tensor, gating: str) -> torch.Tensor:
    """Gates (..., G) in equilibrium with held rates (..., R)."""
    if gating == "chain":
        opening, closing, entering, leaving = rates.unbind(-1)
        whole = closing * leaving + opening * (leaving + entering)
        return torch.stack([opening * leaving / whole, opening * entering / whole], dim=-1)
    return rates[..., 0::2] / (rates[..., 0::2] + rates[..., 1::2])


class RateNetwork(nn.Module):
    """Two hidden layers beside a linear path, from drives, filter and gates to the logarithms of the rates; float64.

    The linear path carries what rates of ions and voltages mostly are: powers and exponentials.
    """

    def __init__(self, form: RateForm, seed: int = 0) -> None:
        super().__init__()
        self.form = form
        first, second = form.hidden
        generator = torch.Generator().manual_seed(seed)

        def weights(rows: int, columns: int, scale: float) -> nn.Parameter:
            values = torch.randn((rows, columns), generator=generator, dtype=torch.float64)
            return nn.Parameter(values * scale / math.sqrt(columns))

        def biases(rows: int, scale: float) -> nn.Parameter:
            return nn.Parameter((2 * torch.rand(rows, generator=generator, dtype=torch.float64) - 1) * scale)

        self.w1, self.b1 = weights(first, form.n_inputs, 1.5), biases(first, 1.0)
        self.w2, self.b2 = weights(second, first, 1.0), biases(second, 0.3)
        self.w3, self.b3 = weights(form.n_rates, second, 0.3), biases(form.n_rates, 0.0)
        self.linear = weights(form.n_rates, form.n_inputs, 0.3)
        with torch.no_grad():
            self.b3 += 3.0  # rates of some 20/s before training

    def scaled(self, drive: torch.Tensor, number: int) -> torch.Tensor:
        """Drive of a given number as the network sees it."""
        own = self.form.drives[number]
        low, high = own.ends
        seen = torch.log(drive.clamp(min=1e-12)) if own.scale == "log" else drive
        return (seen - 0.5 * (low + high)) / (0.5 * (high - low))

    def features(self, drives: torch.Tensor, filtered: torch.Tensor | None, gates: torch.Tensor) -> torch.Tensor:
        """Inputs (..., I) from drives (..., D), the filtered first drive (...) and gates (..., G)."""
        columns = [self.scaled(drives[..., k], k) for k in range(len(self.form.drives))]
        if self.form.filter_s is not None:
            columns.append(self.scaled(filtered, 0))
        if self.form.sees_gates:
            columns += [2 * gates[..., k] - 1 for k in range(self.form.n_gates)]
        return torch.stack(columns, dim=-1)

    def log_rates(self, features: torch.Tensor) -> torch.Tensor:
        """Natural logarithms (..., R) of rates in 1/s."""
        hidden = squash(features @ self.w1.T + self.b1)
        hidden = squash(hidden @ self.w2.T + self.b2)
        return (hidden @ self.w3.T + self.b3 + features @ self.linear.T).clamp(*LOG_RATE_RANGE)

    def rates(self, drives: torch.Tensor, filtered: torch.Tensor | None, gates: torch.Tensor) -> torch.Tensor:
        """Rates (..., R) in 1/s."""
        return torch.exp(self.log_rates(self.features(drives, filtered, gates)))

    def filtered(self, states: torch.Tensor, drives: torch.Tensor, dt_s) -> torch.Tensor | None:
        """Filter (...) of the first drive after ``dt_s`` with the drives (..., D) held; None without one."""
        if self.form.filter_s is None:
            return None
        own, step = drives[..., 0], torch.as_tensor(dt_s, dtype=states.dtype)
        return own + (states[..., -1] - own) * torch.exp(-step / self.form.filter_s)

    def advance(self, states: torch.Tensor, drives: torch.Tensor, dt_s, update=relax) -> torch.Tensor:
        """States (..., S) after a step with the drives (..., D) in its middle; ``dt_s`` is a number or (...).

        Second order in the step for drives that move; gates stay probabilities for any weights and any step. ``update``
        moves gates with held rates, as `relax` does.
        """
        form = self.form
        gates, filtered = states[..., : form.n_gates], self.filtered(states, drives, 0.5 * dt_s)
        rates = self.rates(drives, filtered, gates)
        if form.sees_gates:
            middle = update(gates, rates, 0.5 * dt_s, form.gating)
            rates = self.rates(drives, filtered, middle)
        gates = update(gates, rates, dt_s, form.gating)
        if filtered is None:
            return gates
        return torch.cat([gates, self.filtered(states, drives, dt_s)[..., None]], dim=-1)

    def rest(self, drives: torch.Tensor) -> torch.Tensor:
        """States (..., S) in equilibrium with held drives (..., D).

        Where rates depend on the gates: for a single one by bisection, since it rises at 0 and falls at 1; for two by
        long relaxation.
        """
        form = self.form
        filtered = drives[..., 0] if form.filter_s is not None else None
        gates = torch.zeros((*drives.shape[:-1], form.n_gates), dtype=torch.float64)
        if not form.sees_gates:
            gates = stationary_gates(self.rates(drives, filtered, gates), form.gating)
        elif form.gating == "single":
            low, high = gates, torch.ones_like(gates)
            for _ in range(55):
                gates = 0.5 * (low + high)
                rises = stationary_gates(self.rates(drives, filtered, gates), form.gating) > gates
                low, high = torch.where(rises, gates, low), torch.where(rises, high, gates)
        else:
            for step in np.geomspace(1e-5, 1e3, 400):
                gates = relax(gates, self.rates(drives, filtered, gates), float(step), form.gating)
        return gates if filtered is None else torch.cat([gates, filtered[..., None]], dim=-1)

    def open_probability(self, states: torch.Tensor) -> torch.Tensor:
        """Open probability (...) from states (..., S)."""
        product = torch.ones_like(states[..., 0])
        for k, power in enumerate(self.form.powers):
            product = product * states[..., k] ** power
        return product


WEIGHT_NAMES = ("w1", "b1", "w2", "b2", "w3", "b3", "linear")


def network_arrays(network: RateNetwork) -> dict[str, np.ndarray]:
    """The network as arrays, its form as bytes of JSON among them."""
    arrays = {name: getattr(network, name).detach().numpy().copy() for name in WEIGHT_NAMES}
    arrays["form"] = np.frombuffer(json.dumps(asdict(network.form), sort_keys=True).encode(), dtype=np.uint8).copy()
    return arrays


def network_from_arrays(arrays: Mapping[str, np.ndarray], channel: str) -> RateNetwork:
    """The network of a given channel, from what `network_arrays` gave.

    Raises
    ------
    InputError : arrays that miss something, a network of another channel, weights of wrong shape or not finite.
    """
    missing = [name for name in (*WEIGHT_NAMES, "form") if name not in arrays]
    if missing:
        raise InputError(
            f"rate network: found no {', '.join(missing)}; accepted are {', '.join(WEIGHT_NAMES)} and form"
        )
    values = json.loads(np.asarray(arrays["form"], dtype=np.uint8).tobytes())
    if values["channel"] != channel:
        raise InputError(f"rate network: found one of the channel {values['channel']!r}, accepted is {channel!r}")
    drives = tuple(Drive(**each) for each in values.pop("drives"))
    lists = {name: tuple(values.pop(name)) for name in ("powers", "hidden")}
    network = RateNetwork(RateForm(drives=drives, **lists, **values))
    with torch.no_grad():
        for name in WEIGHT_NAMES:
            own, found = getattr(network, name), np.asarray(arrays[name], dtype=float)
            if found.shape != tuple(own.shape) or not np.isfinite(found).all():
                raise InputError(
                    f"rate network, {name}: found the shape {found.shape} (finite: {bool(np.isfinite(found).all())}), "
                    f"accepted are finite numbers of the shape {tuple(own.shape)}"
                )
            own.copy_(torch.from_numpy(found))
    return network
