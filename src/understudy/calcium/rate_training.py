"""Training of rate networks for ryanodine receptors: first on slopes, then on what the receptors do over many steps.

Slopes are cheap and bring a network near; only what follows sees errors that add up over a course, and only it can make
one gate stand for states that the network does not have. Receptors at rest are learned beside: how many of them are
refractory when a wave comes decides how fast it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from understudy.calcium.gated_channel import RYANODINE, Domain, visited_domain
from understudy.calcium.least_squares import Residuals, levenberg_marquardt
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.rate_network import CALCIUM, RateForm, RateNetwork
from understudy.calcium.receptor_protocols import Courses, receptor_answer
from understudy.errors import InputError

FILTER_S = 2.5e-3
"""Time constant of the filter (choice): the second open state relaxes within 2.6 ms at low calcium."""

SLOPE_SCALE_PER_S = 20.0
"""Slopes well below this count as they are, above it by their logarithm (model card)."""

LEAST_RATE_PER_S = 1e-3
"""Slower rates are not told apart: nothing happens by them within a wave."""

OPEN_SCALE = 0.03
"""Open probabilities below this count as they are, above it more and more by their logarithm: what opens a wave's front
is small."""

OPEN_WEIGHT = 0.2**0.5
"""Weight of the open probability so counted beside that as it is (choice)."""

RESTED = 0.02
"""Refractory share below which receptors count as rested (choice; 0.006 at 0.05 uM)."""

REST_LEVELS_UM = (0.03, 1.0)
"""Levels of calcium at which receptors are watched at rest (choice: below those of a wave)."""

_BLOCK = 128
"""Windows whose derivatives by all weights are held at a time."""


def receptor_form(unknowns: int, hidden: tuple[int, int] = (8, 8)) -> RateForm:
    """Form of the network with so many stored numbers per node, u, e and b among them.

    4: one gate, which the rates see, for there is nothing else to remember by. 5: closed - open - refractory. 6: that
    and a filter of calcium, which knows how fast calcium moved.
    """
    common = {"channel": RYANODINE, "drives": (CALCIUM,), "hidden": hidden}
    return {
        4: RateForm(**common, sees_gates=True),
        5: RateForm(**common, gating="chain", powers=(1, 0)),
        6: RateForm(**common, gating="chain", powers=(1, 0), filter_s=FILTER_S),
    }[unknowns]


@dataclass(frozen=True)
class Lessons:
    """Courses with the receptors' answer, as a network of a form sees them.

    Attributes
    ----------
    dt_s, u_uM : (K, T).
    states : (K, T + 1, S) gates as the receptors' answer has them, open probability and, of a chain, the refractory
        share; then the filter.
    rates : (K, T, 4) by which the answer moves at the beginnings of the steps, with their calcium: per second and
        closed, open, open and refractory channel.
    family : (K,).
    """

    dt_s: torch.Tensor
    u_uM: torch.Tensor
    states: torch.Tensor
    rates: torch.Tensor
    family: np.ndarray


def lessons_of(courses: Courses, form: RateForm, parameters: Parameters) -> Lessons:
    """The courses for a network of a form."""
    answer = receptor_answer(courses, parameters)
    columns = [answer[:, :, 0] + answer[:, :, 1]]
    if form.n_gates == 2:
        columns.append(answer[:, :, 3])
    if form.filter_s is not None:
        s = courses.u_uM[:, 0].copy()
        course = [s]
        for k in range(courses.dt_s.shape[1]):
            s = courses.u_uM[:, k] + (s - courses.u_uM[:, k]) * np.exp(-courses.dt_s[:, k] / form.filter_s)
            course.append(s)
        columns.append(np.stack(course, axis=1))
    own, first_open = parameters, answer[:, :-1, 0] / columns[0][:, :-1]
    opening = own.opening_per_uM4_s * courses.u_uM**4
    if form.n_gates == 1:
        opening = opening * answer[:, :-1, 2] / (1 - columns[0][:, :-1])
    rates = np.stack(
        [
            opening, own.closing_per_s * first_open, own.inactivation_per_s * first_open,
            np.full_like(opening, own.recovery_per_s),
        ],
        axis=-1,
    )  # fmt: skip
    return Lessons(
        torch.from_numpy(courses.dt_s), torch.from_numpy(courses.u_uM), torch.from_numpy(np.stack(columns, axis=-1)),
        torch.from_numpy(rates), courses.family,
    )  # fmt: skip


def _shown(p: torch.Tensor) -> torch.Tensor:
    return torch.asinh(p / OPEN_SCALE)


def rate_loss(network: RateNetwork, lessons: Lessons, rows: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    """Mean square of the logarithms of rates at samples, with that of the slope of the open probability for one gate.

    The one gate's opening rate is that of the closed channels among those not open: it falls as they become refractory.
    """
    form = network.form
    states, u = lessons.states[rows, steps], lessons.u_uM[rows, steps]
    filtered = states[:, -1] if form.filter_s is not None else None
    found = network.log_rates(network.features(u[:, None], filtered, states[:, : form.n_gates]))
    expected = lessons.rates[rows, steps, : form.n_rates]
    loss = ((found - torch.log(expected.clamp(min=LEAST_RATE_PER_S))) ** 2).mean()
    if form.n_gates == 1:
        p = states[:, 0]
        slopes = [rates[:, 0] * (1 - p) - rates[:, 1] * p for rates in (found.exp(), expected)]
        shown = [torch.asinh(slope / SLOPE_SCALE_PER_S) for slope in slopes]
        loss = loss + ((shown[0] - shown[1]) ** 2).mean()
    return loss


@dataclass(frozen=True)
class Windows:
    """Windows of courses, begun at the receptors' own states.

    Attributes
    ----------
    dt_s, u_uM : (W, T).
    start : (W, S) states at the beginning.
    gates : (W, T, G) the receptors' gates at the ends of the steps.
    """

    dt_s: torch.Tensor
    u_uM: torch.Tensor
    start: torch.Tensor
    gates: torch.Tensor

    @classmethod
    def of(cls, lessons: Lessons, rows: torch.Tensor, first: torch.Tensor, steps: int, n_gates: int) -> Windows:
        """Windows of so many steps from a first one in rows of the lessons."""
        index = (first[:, None] + torch.arange(steps)).clamp(max=lessons.dt_s.shape[1] - 1)
        rows = rows[:, None]
        gates = lessons.states[rows, index + 1][..., :n_gates]
        return cls(lessons.dt_s[rows, index], lessons.u_uM[rows, index], lessons.states[rows[:, 0], first], gates)

    def residuals(self, network: RateNetwork, own: slice = slice(None)) -> torch.Tensor:
        """What a network's states lack in some of the windows, over the root of the number of steps of all.

        The open probability counts by `OPEN_SCALE` and as it is, the refractory share as it is; their sum of squares is
        a mean over steps.
        """
        dt, u, states, expected = self.dt_s[own], self.u_uM[own], self.start[own], self.gates[own]
        share = (self.dt_s > 0).sum().clamp(min=1).double().rsqrt()
        parts = []
        for k in range(dt.shape[1]):
            states = network.advance(states, u[:, k, None], dt[:, k])
            p, q = states[:, 0], expected[:, k, 0]
            errors = [OPEN_WEIGHT * (_shown(p) - _shown(q)), p - q]
            if network.form.n_gates == 2:
                errors.append(states[:, 1] - expected[:, k, 1])
            alive = share * (dt[:, k] > 0)
            parts += [alive * error for error in errors]
        return torch.cat(parts)


def rest_residuals(network: RateNetwork, parameters: Parameters) -> torch.Tensor:
    """How far a network's rates are from balance in receptors at rest, in logarithms; their sum of squares is a mean.

    Each pair of neighbouring states of receptors at rest is in balance of its own: ``a (1 - P - q) = b P`` and
    ``f P = g q``. Levels of calcium from 0.03 to 1 uM; for a single gate those at which receptors are rested.
    """
    form = network.form
    u = np.geomspace(*REST_LEVELS_UM, 60)
    o1, o2, _, refractory = stationary_ryanodine(parameters, u)
    if form.n_gates == 1:
        own = refractory < RESTED
        u, o1, o2, refractory = u[own], o1[own], o2[own], refractory[own]
    calcium, p, q = (torch.from_numpy(values) for values in (u, o1 + o2, refractory))
    gates = torch.stack([p, q], dim=-1)[:, : form.n_gates]
    filtered = calcium if form.filter_s is not None else None
    logs = network.log_rates(network.features(calcium[:, None], filtered, gates)).unbind(-1)
    parts = [logs[0] - logs[1] + torch.log((1 - p - q) / p)]
    if form.n_gates == 2:
        parts.append(logs[2] - logs[3] + torch.log(p / q))
    return torch.cat(parts) / len(u) ** 0.5


@dataclass(frozen=True)
class Schedule:
    """How long each stage is; the defaults take a few minutes of one core.

    Attributes
    ----------
    samples, rate_iterations : of the first stage.
    windows, steps, course_iterations : of the second stage: windows of courses, their length in steps.
    polish_iterations : of the third stage, which takes the same windows to the floor of their valley.
    family_weight : how often a family's courses are drawn, relative to one another; what is not named has 1.
    """

    samples: int = 20000
    rate_iterations: int = 300
    windows: int = 768
    steps: int = 48
    course_iterations: int = 300
    polish_iterations: int = 20
    family_weight: tuple[tuple[str, float], ...] = (("wave", 3.0), ("near the stimulus", 2.0))


def single_gate_schedule(schedule: Schedule) -> Schedule:
    """For a single gate: windows three times as long, a third as many, and waves drawn more often (choices).

    It cannot do justice to all courses, and what it keeps of a wave's past shows late in a course.
    """
    return replace(
        schedule,
        windows=max(1, schedule.windows // 3),
        steps=3 * schedule.steps,
        family_weight=(("wave", 10.0), ("near the stimulus", 5.0)),
    )


def _windows(lessons: Lessons, schedule: Schedule, count: int, generator: torch.Generator, usable: np.ndarray):
    """Rows, first steps and whole lengths of windows in usable courses, families by their weight."""
    lengths = (lessons.dt_s > 0).sum(1)
    weight = dict(schedule.family_weight)
    counts = {name: (usable & (lessons.family == name)).sum() for name in set(lessons.family)}
    share = usable * np.array([weight.get(name, 1.0) / max(counts[name], 1) for name in lessons.family])
    rows = torch.multinomial(torch.from_numpy(share), count, replacement=True, generator=generator)
    latest = (lengths[rows] - schedule.steps).clamp(min=0)
    return rows, (torch.rand(count, generator=generator) * (latest + 1)).long(), lengths[rows]


def _minimise(network: RateNetwork, loss_of: Callable[[], torch.Tensor], iterations: int) -> float:
    if iterations < 1:
        with torch.no_grad():
            return float(loss_of())
    optimiser = torch.optim.LBFGS(
        network.parameters(), max_iter=iterations, max_eval=2 * iterations, history_size=30,
        line_search_fn="strong_wolfe", tolerance_grad=1e-11, tolerance_change=1e-14,
    )  # fmt: skip

    def closure():
        optimiser.zero_grad()
        loss = loss_of()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        return float(loss_of())


def train_rates(
    courses: Courses, form: RateForm, *, seed: int, schedule: Schedule | None = None,
    parameters: Parameters | None = None, start: RateNetwork | None = None,
    say: Callable[[str, float], None] | None = None,
) -> RateNetwork:  # fmt: skip
    """Network of a form, trained on courses and on receptors at rest; the same for the same seed on one thread.

    By L-BFGS on rates, then on states in windows of courses, then by `levenberg_marquardt` on the same.

    A single gate learns by `single_gate_schedule` from courses that begin without a refractory share (`RESTED`): it
    could not know of one.

    Parameters
    ----------
    parameters : kinetics of the receptors that answer the courses; the defaults' if None.
    start : network of the form to go on from, as the shared machine trained it; it is changed, and the first stage is
        left out.
    say : told the name of each stage and the loss after it.
    """
    schedule, say = schedule or Schedule(), say or (lambda stage, loss: None)
    parameters = parameters or Parameters()
    lessons = lessons_of(courses, form, parameters)
    generator = torch.Generator().manual_seed(seed)
    network = RateNetwork(form, seed) if start is None else start
    if network.form != form:
        raise InputError(f"start: found a network of {network.form}, accepted is one of {form}")
    usable = courses.family != "any start"
    if form.n_gates == 1:
        schedule = single_gate_schedule(schedule)
        usable &= courses.start[:, 3] < RESTED
    if start is None:
        rows, _, lengths = _windows(lessons, schedule, schedule.samples, generator, usable)
        steps = (torch.rand(len(rows), generator=generator) * lengths).long()
        loss = _minimise(network, lambda: rate_loss(network, lessons, rows, steps), schedule.rate_iterations)
        say("rates", loss)
    if form.n_gates == 2:
        usable[:] = True
    chosen, first, _ = _windows(lessons, schedule, schedule.windows, generator, usable)
    windows = Windows.of(lessons, chosen, first, schedule.steps, form.n_gates)
    blocks: list[Residuals] = [partial(rest_residuals, parameters=parameters)]
    for begin in range(0, schedule.windows, _BLOCK):
        blocks.append(partial(windows.residuals, own=slice(begin, begin + _BLOCK)))
    loss = _minimise(
        network,
        lambda: rest_residuals(network, parameters).square().sum() + windows.residuals(network).square().sum(),
        schedule.course_iterations,
    )
    say("courses", loss)
    if schedule.polish_iterations:
        say("polish", levenberg_marquardt(network, blocks, schedule.polish_iterations))
    return network


def training_domain(network: RateNetwork, courses: Courses, parameters: Parameters, cells: int = 24) -> Domain:
    """Where the network's inputs lay in its courses, for the monitor inside the solver."""
    form = network.form
    lessons = lessons_of(courses, form, parameters)
    alive = lessons.dt_s > 0
    features = []
    for states in (lessons.states[:, :-1], lessons.states[:, 1:]):
        chosen = states[alive]
        filtered = chosen[:, -1] if form.filter_s is not None else None
        with torch.no_grad():
            features.append(network.features(lessons.u_uM[alive][:, None], filtered, chosen[:, : form.n_gates]).numpy())
    return visited_domain(np.concatenate(features), cells)


def course_errors(network: RateNetwork, courses: Courses, parameters: Parameters) -> dict[str, float]:
    """NRMSE of the open probability over whole courses from their beginning, by family and for all together.

    Root mean square over steps, each by the logarithm of its length in 10 us, over the range 0 to 1.
    """
    lessons = lessons_of(courses, network.form, parameters)
    states, errors = lessons.states[:, 0], []
    with torch.no_grad():
        for k in range(lessons.dt_s.shape[1]):
            states = network.advance(states, lessons.u_uM[:, k, None], lessons.dt_s[:, k])
            errors.append((states[:, 0] - lessons.states[:, k + 1, 0]) ** 2)
    weight = torch.log1p(lessons.dt_s / 1e-5).T
    squares = torch.stack(errors) * weight
    result = {}
    for name in ("all", *sorted(set(lessons.family))):
        rows = np.flatnonzero((lessons.family == name) | (name == "all"))
        result[name] = float(torch.sqrt(squares[:, rows].sum() / weight[:, rows].sum()))
    return result
