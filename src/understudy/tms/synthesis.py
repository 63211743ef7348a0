"""Synthetic cortical neurons with complete arbours, after the statistics of reconstructed cells.

Each arbour is made in two steps: a branching plan (`branching_plan`) with the counts, lengths and paths of its type,
then its way through space (`arbour_growth`). Nothing here knows a threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from understudy.errors import InputError
from understudy.tms.arbour_growth import Shape, Territory, grown_points, tapered_diameters
from understudy.tms.branching_plan import BranchingPlan, section_lengths, stem_topology, trunk_topology
from understudy.tms.morphology import APICAL, AXON, BASAL, Morphology, Section, soma_section
from understudy.tms.morphology_targets import TARGET_STATISTICS, SOMA_DIAMETERS_um, outside_targets

_ATTEMPTS = 8
# Of the published range of a count or a length, this much at either end is left out, so that chance in the growth stays
# inside.
_MARGIN = 0.06


@dataclass(frozen=True)
class Habit:
    """How one kind of arbour grows; all estimates, from the pictures and extents of reconstructed cells.

    Attributes
    ----------
    first_side_um : path to the first side branch of the trunk, lowest and highest.
    side_branches : number of side branches, lowest and highest.
    side_zones : (share of the side branches, from, to) along the trunk, um.
    trunk_um : length of the trunk, lowest and highest.
    end_share : share of the terminals behind the trunk's end; 0 makes the trunk's end a terminal.
    balance : evenness of branchings (see `trunk_topology`).
    side_reach_um : path from the trunk (or the soma) that side branches rather do not pass.
    outward, radial, drift, steering_per_um : see `Shape`.
    side_pull : mean and spread between side trees of their preference for up; of stems, for their own side.
    end_pull : preference for up behind the trunk's end.
    widening : territory over the measured extents.
    up_share : chance that the trunk goes up.
    trunk_rate, trunk_exit_um : see `tapered_diameters`.
    """

    first_side_um: tuple[float, float] = (0.0, 0.0)
    side_branches: tuple[int, int] = (0, 0)
    side_zones: tuple[tuple[float, float, float], ...] = ()
    trunk_um: tuple[float, float] = (0.0, 0.0)
    end_share: float = 0.0
    balance: float = 1.0
    side_reach_um: float = 1e4
    outward: float = 0.8
    radial: float = 0.0
    drift: float = 0.1
    steering_per_um: float = 0.005
    side_pull: tuple[float, float] = (0.0, 0.0)
    end_pull: float = 0.0
    widening: float = 1.25
    up_share: float = 0.0
    trunk_rate: float = 0.1
    trunk_exit_um: float = 60.0


_HABITS = {
    "L23_PC": {
        AXON: Habit(
            first_side_um=(70, 120),
            side_branches=(7, 9),
            side_zones=((0.7, 100, 380), (0.3, 520, 850)),
            trunk_um=(1060, 1220),
            side_reach_um=1000,
            outward=1.2,
            steering_per_um=0.012,
            side_pull=(0.3, 0.8),
            widening=1.45,
        ),
        BASAL: Habit(balance=4.0, radial=1.0, drift=0.2),
        APICAL: Habit(
            first_side_um=(25, 50),
            side_branches=(2, 4),
            side_zones=((1.0, 40, 120),),
            trunk_um=(130, 175),
            end_share=0.5,
            balance=2.0,
            side_reach_um=200,
            outward=0.5,
            side_pull=(0.8, 0.2),
            end_pull=0.9,
            widening=1.1,
        ),
    },
    "L4_LBC": {
        AXON: Habit(
            first_side_um=(30, 60),
            side_branches=(8, 10),
            side_zones=((0.9, 40, 220), (0.1, 220, 300)),
            trunk_um=(260, 400),
            up_share=0.4,
            outward=0.4,
            side_reach_um=800,
            steering_per_um=0.009,
            side_pull=(0.0, 1.0),
        ),
        BASAL: Habit(balance=1.5, radial=1.0, drift=0.25, side_pull=(1.0, 0.2), widening=1.1),
    },
    "L5_TTPC": {
        AXON: Habit(
            first_side_um=(80, 130),
            side_branches=(6, 8),
            side_zones=((0.85, 110, 420), (0.15, 420, 600)),
            trunk_um=(760, 880),
            balance=1.5,
            side_reach_um=1000,
            steering_per_um=0.012,
            side_pull=(0.4, 0.9),
        ),
        BASAL: Habit(balance=4.0, radial=1.0, drift=0.25),
        APICAL: Habit(
            first_side_um=(25, 60),
            side_branches=(12, 15),
            side_zones=((0.8, 40, 350), (0.2, 350, 700)),
            trunk_um=(760, 860),
            end_share=0.34,
            balance=2.0,
            side_reach_um=290,
            outward=1.0,
            side_pull=(0.05, 0.2),
            end_pull=0.5,
            widening=1.1,
        ),
    },
}

CELL_TYPES = tuple(_HABITS)


def synthesise(cell_type: str, generator: np.random.Generator, name: str) -> Morphology:
    """One synthetic cell, rat, not scaled; equal generators give equal cells.

    Each arbour is drawn until its statistics lie within the ranges of `TARGET_STATISTICS`, at most eight times; of
    those that do not, the one with the fewest misses is taken.

    Raises
    ------
    InputError
        If the cell type is unknown.
    """
    if cell_type not in _HABITS:
        raise InputError(f"cell type: found {cell_type!r}; accepted are {', '.join(CELL_TYPES)}")
    diameters = SOMA_DIAMETERS_um[cell_type]
    sections = [soma_section(generator.uniform(min(diameters), max(diameters)))]
    for kind in TARGET_STATISTICS[cell_type]:
        sections += _fitting_arbour(cell_type, kind, sections[0], len(sections), generator)
    return Morphology(name, tuple(sections))


def _fitting_arbour(
    cell_type: str, kind: str, soma: Section, number: int, generator: np.random.Generator
) -> list[Section]:
    best: list[Section] = []
    fewest = np.inf
    for _ in range(_ATTEMPTS):
        drawn = _arbour(cell_type, kind, 0.5 * soma.diameters[0], generator)
        misses = len(outside_targets(Morphology(kind, (soma, *drawn)), cell_type, [kind]))
        if misses < fewest:
            best, fewest = drawn, misses
        if misses == 0:
            break
    return [replace(section, parent=section.parent + (section.parent > 0) * (number - 1)) for section in best]


def _arbour(cell_type: str, kind: str, soma_radius: float, generator: np.random.Generator) -> list[Section]:
    """The sections of one arbour; the first is section 1 of a cell, behind the soma."""
    target, habit = TARGET_STATISTICS[cell_type][kind], _HABITS[cell_type][kind]
    median = {key: value[0] for key, value in target.items()}
    stems = int(median["stems"]) + (int(generator.integers(-1, 2)) if kind == BASAL else 0)
    size = _within(target["sections"], generator)
    leaves = round(0.5 * (size + stems))
    leaves = int(np.clip(leaves, target["terminals"][1], target["terminals"][2]))
    sections = 2 * leaves - stems
    growth = (sections / median["sections"]) ** 0.8 * np.exp(0.08 * generator.standard_normal())
    total = _clipped(median["total_um"] * growth, target["total_um"])
    if kind == BASAL:
        topology = stem_topology(stems, leaves, habit.balance, generator)
        trunk, upwards = np.zeros(0), False
        directions = _stem_directions(stems, generator)
    else:
        trunk = _trunk_lengths(habit, generator)
        end = max(1, round(habit.end_share * leaves))
        topology = trunk_topology(_shares(len(trunk) - 1, leaves - end, generator), end, habit.balance, generator)
        upwards = kind == APICAL or generator.uniform() < habit.up_share
        lean = 0.12 * generator.standard_normal(3)
        directions = _unit(np.array([[lean[0], lean[1], 1.0 if upwards else -1.0]]))
    plan = section_lengths(
        topology,
        trunk,
        _triple(median, "inner", "q", (25, 50, 75)),
        _triple(median, "terminal", "q", (25, 50, 75)),
        total,
        _triple(median, "path", "p", (10, 50, 90)),
        habit.side_reach_um,
        generator,
    )
    shape = Shape(
        angle_deg=_triple(median, "angle", "q", (25, 50, 75), "_deg"),
        straightness=(median["straightness_p10"], median["straightness_p50"]),
        outward=habit.outward,
        radial=habit.radial,
        drift=habit.drift,
        steering_per_um=habit.steering_per_um,
        trunk_direction=(0.0, 0.0, 1.0 if upwards else -1.0),
    )
    starts = soma_radius * directions
    territory = _territory(cell_type, kind, habit, generator)
    pull = _pull(plan, habit, directions if kind == BASAL else None, generator)
    points = grown_points(plan, starts, directions, territory, shape, pull, generator)
    diameters = tapered_diameters(
        plan,
        points,
        [median[f"diameter_p{p}_um"] for p in (5, 25, 50, 75, 95)],
        median["stem_diameter_um"],
        habit.trunk_rate,
        habit.trunk_exit_um,
        generator,
    )
    parents = np.where(plan.parent < 0, 0, plan.parent + 1)
    return [
        Section(kind, int(parent), chain, diameter)
        for parent, chain, diameter in zip(parents, points, diameters, strict=True)
    ]


def _within(target: tuple[float, float, float], generator: np.random.Generator) -> float:
    """A value around the median, within the range but for its margins."""
    middle, low, high = target
    margin = _MARGIN * (high - low)
    low, high = low + margin, high - margin
    middle = float(np.clip(middle, low, high))
    # Half the way to either end: a type's five cells are no sample of extremes.
    return middle + generator.triangular(-1.0, 0.0, 1.0) * 0.5 * min(
        high - middle or high - low, middle - low or high - low
    )


def _clipped(value: float, target: tuple[float, float, float]) -> float:
    margin = _MARGIN * (target[2] - target[1])
    return float(np.clip(value, target[1] + margin, target[2] - margin))


def _triple(median: dict, name: str, letter: str, places: Sequence[int], unit: str = "_um") -> list[float]:
    return [median[f"{name}_{letter}{place}{unit}"] for place in places]


def _trunk_lengths(habit: Habit, generator: np.random.Generator) -> np.ndarray:
    """Lengths of the trunk's sections: from the soma to the first side branch, between these, and to the end."""
    count = int(generator.integers(habit.side_branches[0], habit.side_branches[1] + 1))
    first, end = generator.uniform(*habit.first_side_um), generator.uniform(*habit.trunk_um)
    zones = np.array([share for share, _, _ in habit.side_zones])
    counts = np.floor(zones * (count - 1) + 0.5).astype(int)
    places = [first]
    for number, (_, low, high) in zip(counts, habit.side_zones, strict=True):
        low = max(low, first + 10.0)
        # Evenly spread with chance: side branches do not sit on top of each other.
        places += list(low + (np.arange(number) + generator.uniform(0.1, 0.9, size=number)) / number * (high - low))
    places = np.sort(np.minimum(places, end - 25.0))
    return np.maximum(np.diff([0.0, *places, end]), 3.0)


def _shares(groups: int, leaves: int, generator: np.random.Generator) -> list[int]:
    """Terminals of each side branch, at least one."""
    return list(1 + generator.multinomial(leaves - groups, generator.dirichlet(np.full(groups, 2.0))))


def _stem_directions(stems: int, generator: np.random.Generator) -> np.ndarray:
    """Unit vectors of dendrites around a soma, clear of the apical stem and of the axon: (stems, 3)."""
    heights = np.linspace(0.3, -0.85, stems) + generator.uniform(-0.1, 0.1, size=stems)
    turns = (
        generator.uniform(0, 2 * np.pi) + np.pi * (3 - np.sqrt(5)) * np.arange(stems) + generator.normal(0, 0.25, stems)
    )
    across = np.sqrt(1.0 - heights**2)
    return np.stack([across * np.cos(turns), across * np.sin(turns), heights], axis=1)


def _pull(plan: BranchingPlan, habit: Habit, stems: np.ndarray | None, generator: np.random.Generator) -> np.ndarray:
    """(S,) preference for up: one value for each side tree or stem."""
    mean, spread = habit.side_pull
    value = mean + spread * generator.standard_normal(plan.side.max() + 2)
    if stems is not None:
        value[: len(stems)] *= np.sign(stems[:, 2])
    elif habit.end_share > 0.0:
        value[plan.side.max()] = habit.end_pull
    return np.where(plan.side >= 0, value[plan.side], 0.0)


def _territory(cell_type: str, kind: str, habit: Habit, generator: np.random.Generator) -> Territory:
    """Around the measured extents, a little shifted and stretched from cell to cell."""
    target = TARGET_STATISTICS[cell_type][kind]
    lateral = target["lateral_um"][0] * habit.widening
    stretch = np.exp(0.15 * generator.standard_normal())
    turn, shift = generator.uniform(0.0, 2.0 * np.pi), generator.uniform(0.0, 0.25) * lateral * (kind == AXON)
    low, high = target["height_low_um"][0], target["height_high_um"][0]
    # Obliques stay above the soma.
    middle = 0.4 * high if kind == APICAL else 0.0
    centre = (shift * np.cos(turn), shift * np.sin(turn), middle)
    below = (1.0 if kind == APICAL else habit.widening) * (middle - low)
    axes = (lateral * stretch, lateral / stretch, habit.widening * (high - middle), below)
    return Territory(centre, axes, target["height_max_um"][0])


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
