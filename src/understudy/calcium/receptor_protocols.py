"""What rate networks of ryanodine receptors learn from: courses of cytosolic calcium and the receptors' answer to them.

A course is a sequence of steps with calcium held in each, as a cable's solver hands it to the receptors; the answer of
the Keizer-Levine receptors is then exact, and so is that of a network whose rates depend on calcium alone. No error of
time stepping enters what is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from understudy.calcium.cable_dynamics import simulate_cables
from understudy.calcium.cable_geometry import uniform_cable
from understudy.calcium.parameters import Parameters, stationary_ryanodine
from understudy.calcium.stimulus import Stimulus
from understudy.errors import InputError

FAMILIES = ("clamp", "any start", "ramp", "half-sine", "wave", "near the stimulus", "paired pulses")


@dataclass(frozen=True)
class Courses:
    """K courses of T steps; a course that is shorter ends with steps of no length.

    Attributes
    ----------
    dt_s, u_uM : (K, T) steps and calcium held in them.
    start : (K, 4) occupancies o1, o2, c1, c2 at the beginning.
    family : (K,) one of `FAMILIES`.
    group : (K,) number of the protocol or parameter set that a course belongs to; splits keep groups whole.
    """

    dt_s: np.ndarray
    u_uM: np.ndarray
    start: np.ndarray
    family: np.ndarray
    group: np.ndarray

    def __len__(self) -> int:
        return len(self.group)

    def take(self, rows: np.ndarray) -> Courses:
        """The courses of these rows."""
        return Courses(*(getattr(self, name)[rows] for name in ("dt_s", "u_uM", "start", "family", "group")))


def joined(parts: Sequence[Courses]) -> Courses:
    """One set of all, with group numbers that do not meet."""
    steps = max(part.dt_s.shape[1] for part in parts)
    fields: list[list[np.ndarray]] = [[], [], [], [], []]
    first = 0
    for part in parts:
        pad = ((0, 0), (0, steps - part.dt_s.shape[1]))
        values = (np.pad(part.dt_s, pad), np.pad(part.u_uM, pad, mode="edge"), part.start, part.family)
        for field, value in zip(fields, (*values, part.group + first), strict=True):
            field.append(value)
        first += int(part.group.max()) + 1
    return Courses(*(np.concatenate(field) for field in fields))


def stationary_start(parameters: Parameters, u: np.ndarray) -> np.ndarray:
    """Occupancies (K, 4) of o1, o2, c1, c2 in equilibrium with calcium (K,)."""
    return np.stack(stationary_ryanodine(parameters, np.asarray(u, dtype=float)), axis=-1)


def receptor_answer(courses: Courses, parameters: Parameters) -> np.ndarray:
    """Occupancies (K, T + 1, 4) of o1, o2, c1, c2 at the ends of the steps.

    The generator of a star of states obeys detailed balance, so that with the roots of the stationary occupancies on
    both sides it is symmetric; its eigenvectors give the exponential of any step.
    """
    count, steps = courses.u_uM.shape
    answer = np.empty((count, steps + 1, 4))
    answer[:, 0] = courses.start
    k = parameters
    for step in range(steps):
        u = courses.u_uM[:, step]
        root = np.sqrt(np.maximum(stationary_start(k, u), 1e-300))
        opening, second = k.opening_per_uM4_s * u**4, k.second_opening_per_uM3_s * u**3
        generator = np.zeros((count, 4, 4))
        pairs = (
            (1, second, k.second_closing_per_s),
            (2, np.full(count, k.closing_per_s), opening),
            (3, np.full(count, k.inactivation_per_s), k.recovery_per_s),
        )
        for state, leaving, returning in pairs:
            # Detailed balance makes leaving * (weight of o1) = returning * (weight of the state).
            generator[:, 0, state] = generator[:, state, 0] = np.sqrt(leaving * returning)
            generator[:, 0, 0] -= leaving
            generator[:, state, state] -= returning
        values, vectors = np.linalg.eigh(generator)
        grown = np.exp(np.minimum(values, 0.0) * courses.dt_s[:, step, None])
        x = np.einsum("kji,kj->ki", vectors, answer[:, step] / root) * grown
        x = np.maximum(np.einsum("kij,kj->ki", vectors, x) * root, 0.0)
        answer[:, step + 1] = np.where(courses.dt_s[:, step, None] > 0, x / x.sum(-1, keepdims=True), answer[:, step])
    return answer


def _steps_of(duration_s: float, shortest_s: float, steps: int) -> np.ndarray:
    """Steps that grow in proportion to the time passed and add up to a duration."""
    return np.diff(np.concatenate([[0.0], np.geomspace(min(shortest_s, 0.1 * duration_s), duration_s, steps)]))


def clamp_courses(parameters: Parameters, count: int, rng: np.random.Generator) -> Courses:
    """Calcium jumps from a holding level to one of 0.03 to 40 uM and back down.

    In turn from equilibrium, from any open share with the refractory share of rest, and from any occupancy ('any
    start', which no course of calcium need ever have led to).
    """
    dt, u, start, family = [], [], [], []
    for k in range(count):
        hold = 10 ** rng.uniform(-1.4, -0.3)
        high, back = 10 ** rng.uniform(-1.5, 1.6), 10 ** rng.uniform(-1.6, 0.5)
        long, after = 10 ** rng.uniform(-3, 1), 10 ** rng.uniform(-2, 1.3)
        dt.append(np.concatenate([_steps_of(long, 1e-5, 60), _steps_of(after, 1e-5, 60)]))
        u.append(np.repeat([high, back], 60))
        begin = stationary_start(parameters, hold)
        if k % 3 == 1:
            begin = stationary_start(parameters, parameters.rest_cytosol_uM)
            both = 1 + parameters.second_opening_per_uM3_s / parameters.second_closing_per_s * high**3
            share = rng.random() * (1 - begin[3])
            begin = np.array([share / both, share - share / both, 1 - begin[3] - share, begin[3]])
        elif k % 3 == 2:
            begin = rng.dirichlet([0.5] * 4)
        start.append(begin)
        family.append("any start" if k % 3 == 2 else "clamp")
    return Courses(np.array(dt), np.array(u), np.array(start), np.array(family, dtype=object), np.arange(count))


def _moving_course(parameters, rng, duration_s, shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low, high = 10 ** rng.uniform(-1.4, -0.7), 10 ** rng.uniform(-0.7, 1.5)
    part = (np.arange(100) + 0.5) / 100
    u = np.exp(np.log(low) + np.log(high / low) * shape(part))
    tail = 10 ** rng.uniform(-1, 1)
    dt = np.concatenate([np.full(100, duration_s / 100), _steps_of(tail, 1e-4, 30)])
    return dt, np.concatenate([u, np.full(30, u[-1])]), stationary_start(parameters, low)


def moving_courses(parameters: Parameters, count: int, rng: np.random.Generator) -> Courses:
    """Ramps and half sines of 0.2 to 200 ms of the logarithm of calcium, and a while at what they reach."""
    shapes = {"ramp": lambda x: x, "half-sine": lambda x: np.sin(np.pi * x)}
    rows = [
        (*_moving_course(parameters, rng, 10 ** rng.uniform(-3.7, -0.7), shapes[name]), name)
        for name in (tuple(shapes) * count)[:count]
    ]
    dt, u, start, family = zip(*rows, strict=True)
    return Courses(np.array(dt), np.array(u), np.array(start), np.array(family, dtype=object), np.arange(count))


def merged_steps(u: np.ndarray, dt_s: float, *, range_of_log: float = 0.04, longest_s: float = 0.05):
    """Steps (dt, u) of a trace of equal steps, joined while calcium hardly changes, calcium their mean."""
    log = np.log(u)
    edges, low, high, first = [0], log[0], log[0], 0
    most = max(1, round(longest_s / dt_s))
    for k in range(1, len(u)):
        low, high = min(low, log[k]), max(high, log[k])
        if high - low > range_of_log or k - first >= most:
            edges.append(k)
            low = high = log[k]
            first = k
    edges = np.array(edges)
    lengths = np.diff(np.append(edges, len(u)))
    return lengths * dt_s, np.add.reduceat(u, edges) / lengths


@dataclass(frozen=True)
class WaveCase:
    """A cable whose wave is watched: parameters, ER radius, spacing, and when it is stimulated how strongly."""

    parameters: Parameters
    er_radius_um: float
    radius_um: float
    onsets_s: tuple[float, ...]
    density_uM_um_per_s: float


REST_UM = (0.045, 0.06)
RAISED_REST_UM = (0.08, 0.125)
"""Resting calcium of cells at ease, and of cells whose receptors are refractory by 3 to 25 % before the wave comes."""


def draw_wave_cases(
    count: int, rng: np.random.Generator, *, rest_uM: tuple[float, float] = REST_UM,
    gap_s: tuple[float, float] | None = None,
) -> list[WaveCase]:  # fmt: skip
    """Cases over receptors, radii, calbindin, diffusion, plasma membrane, resting calcium (log-uniform) and stimulus.

    With ``gap_s`` a second stimulus follows after a gap drawn log-uniformly, in cells that can recover.
    """
    cases = []
    for _ in range(count):
        own = Parameters(
            ryanodine_per_um2=rng.uniform(1.8, 5.0),
            calbindin_uM=rng.uniform(80.0, 200.0),
            cytosol_diffusion_um2_per_s=rng.uniform(160.0, 280.0),
            plasma_scale=3.0 if gap_s else float(rng.choice([1.0, 3.0])),
            rest_cytosol_uM=float(np.exp(rng.uniform(*np.log(rest_uM)))),
        )
        onsets = (0.0,) if gap_s is None else (0.0, float(np.exp(rng.uniform(*np.log(gap_s)))))
        cases.append(WaveCase(own, rng.uniform(0.2, 0.3), rng.uniform(0.45, 0.6), onsets, 10 ** rng.uniform(3.3, 4.0)))
    return cases


def wave_courses(
    cases: Sequence[WaveCase], duration_s: float, *, length_um: float = 32.0, spacing_um: float = 0.25,
    dt_s: float = 5e-5, sites_um: Sequence[float] = (0.5, 2.0, 12.0, 24.0), family: str = "wave",
) -> Courses:  # fmt: skip
    """Calcium at some sites of cables, as the receptors there got it; sites within 3 um are 'near the stimulus'.

    Raises
    ------
    InputError : cases whose second stimulus comes after the end.
    """
    if any(case.onsets_s[-1] >= duration_s for case in cases):
        raise InputError(f"duration_s: found {duration_s:g}, accepted is more than the last stimulus's onset")
    n = round(length_um / spacing_um)
    cables = [uniform_cable(length_um, case.radius_um, case.er_radius_um, n) for case in cases]
    sites = [cables[0].nearest(x) for x in sites_um]
    run = simulate_cables(
        cables, [case.parameters for case in cases],
        [Stimulus(onsets_s=case.onsets_s, density_uM_um_per_s=case.density_uM_um_per_s) for case in cases],
        duration_s, dt_s, sites=sites, check_grid=False,
    )  # fmt: skip
    courses = []
    for number, case in enumerate(cases):
        rest = case.parameters.rest_cytosol_uM
        for site, x in enumerate(sites_um):
            dt, u = merged_steps(np.concatenate([[rest], run.traces[number, :, site, 0]]), dt_s)
            courses.append(
                Courses(
                    dt[None], u[None], stationary_start(case.parameters, np.array([rest])),
                    np.array(["near the stimulus" if x < 3 else family], dtype=object), np.zeros(1, dtype=np.int64),
                )
            )  # fmt: skip
    together = joined(courses)
    return replace(together, group=np.repeat(np.arange(len(cases)), len(sites)))


_SLOW_STEP_S = 1e-4
"""Time step of long courses: what receptors answer to is a course, not the limit of a wave."""


def _single_waves(parameters: Parameters, count: int, rng: np.random.Generator) -> Courses:
    return wave_courses(draw_wave_cases(count, rng), 0.3)


def _raised_waves(parameters: Parameters, count: int, rng: np.random.Generator) -> Courses:
    return wave_courses(draw_wave_cases(count, rng, rest_uM=RAISED_REST_UM), 0.3)


def _long_waves(parameters: Parameters, count: int, rng: np.random.Generator) -> Courses:
    return wave_courses(draw_wave_cases(count, rng), 2.0, dt_s=_SLOW_STEP_S)


def _paired_pulses(parameters: Parameters, count: int, rng: np.random.Generator) -> Courses:
    cases = draw_wave_cases(count, rng, gap_s=(0.1, 15.0))
    return wave_courses(cases, 16.0, length_um=16.0, sites_um=(2.0, 8.0), dt_s=_SLOW_STEP_S, family="paired pulses")


@dataclass(frozen=True)
class CourseKind:
    """How courses of a kind are drawn.

    Attributes
    ----------
    count : groups at scale 1.
    unit : groups that are drawn together at most.
    per_group : courses of a group.
    draw : gives the courses of so many groups.
    """

    count: int
    unit: int
    per_group: int
    draw: Callable[[Parameters, int, np.random.Generator], Courses]


COURSE_KINDS = {
    "clamps": CourseKind(300, 50, 1, clamp_courses),
    "ramps": CourseKind(120, 50, 1, moving_courses),
    "waves": CourseKind(16, 8, 4, _single_waves),
    "raised waves": CourseKind(8, 8, 4, _raised_waves),
    "long waves": CourseKind(8, 8, 4, _long_waves),
    "paired pulses": CourseKind(8, 8, 2, _paired_pulses),
}


def number_of_groups(kind: str, scale: float) -> int:
    """Protocols or parameter sets of a kind at a scale, at least 2."""
    return max(2, round(scale * COURSE_KINDS[kind].count))
