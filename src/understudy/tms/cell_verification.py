"""Verification of cells and engines: against NEURON, against published cells, under refinement, in the linear range."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from understudy.tms.biophysics import CELL_TYPES
from understudy.tms.cell_model import CableModel, build_compartments
from understudy.tms.compartments import COMPARTMENT_KINDS, Compartments
from understudy.tms.field_basis import potential_of, random_fields
from understudy.tms.files import Cell, SimulatedThresholds
from understudy.tms.gate import passes_gate
from understudy.tms.neuron_cell import NeuronCell
from understudy.tms.threshold_engine import find_thresholds, resting_state
from understudy.tms.thresholds import CROSSINGS
from understudy.verification import check

FINE = 1e-5
"""Relative width of the last bracket where thresholds are compared to 0.1 % or better."""

PUBLISHED_V_PER_M = {
    "L23_PC": {"minimum": (175, 261), "median": (259, 365), "maximum": (498, 835)},
    "L4_LBC": {"minimum": (198, 241), "median": (254, 289), "maximum": (344, 503)},
    "L5_TTPC": {"minimum": (184, 223), "median": (226, 337), "maximum": (444, 577)},
}
"""Range over the five published cells of each type, uniform fields along 398 directions, monophasic pulse.

Found: result files of TMSsim_Aberra2019 (utms_maxH_w1_1-25.mat)."""

NEAR_TERMINAL_UM = 150.0
"""A spike starts near a terminal within this way (choice: the longest internodes of these axons)."""
LEAST_SHARE_NEAR = 0.9
SAME_SITE_UM = 100.0
"""First spikes of two engines within this way are at one place (choice: several compartments cross 0 mV in the same
step of 5 us, in which a spike runs some 50 um)."""
_AXON_KINDS = tuple(COMPARTMENT_KINDS.index(kind) for kind in ("node", "unmyelinated"))

_OTHER_SIDE = 0.618
_WIDEST = 0.3
"""A reference that departs further than this from the expected threshold is not searched for."""


@dataclass(frozen=True)
class CellUnderTest:
    """A cell of the study with what its checks need.

    Attributes
    ----------
    cell : as in ``cells.h5``.
    model : its cable.
    rest_mV : (M,) resting state.
    coefficients : (N, 26) fields of unit strength at the soma (`understudy.tms.field_basis`), the first half uniform.
    """

    cell: Cell
    model: CableModel
    rest_mV: np.ndarray
    coefficients: np.ndarray

    @property
    def compartments(self) -> Compartments:
        return self.model.compartments

    def potentials(self, model: CableModel | None = None) -> np.ndarray:
        """Quasi-potentials (N, M) mV of the fields on this cell's cable, or on another cable of it."""
        compartments = (self.model if model is None else model).compartments
        return potential_of(compartments.centre, compartments.parent, self.coefficients)


def cell_under_test(cell: Cell, segment_um: float, fields: int, generator: np.random.Generator) -> CellUnderTest:
    """A cell with ``fields`` random uniform fields and as many that are not uniform."""
    model = build_compartments(cell.morphology, cell.cell_type, segment_um=segment_um)
    coefficients = random_fields(2 * fields, generator)
    coefficients[:fields, 3:] = 0.0
    return CellUnderTest(cell, model, resting_state(model.compartments), coefficients)


def first_of_each_type(cells: Sequence[Cell]) -> list[int]:
    """Numbers of the first cell of each type, synthetic before reconstructed."""
    order = sorted(range(len(cells)), key=lambda number: cells[number].source != "synthetic")
    chosen = [next((n for n in order if cells[n].cell_type == kind), None) for kind in CELL_TYPES]
    return [number for number in chosen if number is not None]


def threshold_near(
    first_spike: Callable[[float], int], near: float, *, tolerance: float = FINE, spread: float = 5e-5
) -> tuple[float, int]:
    """Smallest amplitude that excites, and the compartment of its first spike.

    The search starts about ``spread`` on both sides of ``near``, so that an expected threshold costs few runs; both
    ends of the last bracket are runs of the reference itself. NaN where it departs from ``near`` by more than 30 %.

    Parameters
    ----------
    first_spike : amplitude -> compartment of the first spike, -1 where the cell is not excited.
    """
    # Unequal sides keep the expected value off the points that bisection visits: a difference of exactly 0 would say
    # nothing but that it was tried.
    low, step, high = None, spread, (1 + spread) * near
    while (site := first_spike(high)) < 0:
        low, step = high, 4 * step
        if step > _WIDEST:
            return np.nan, -1
        high = (1 + step) * near
    step = spread
    while low is None:
        trial = (1 - _OTHER_SIDE * step) * near
        if (found := first_spike(trial)) >= 0:
            high, site, step = trial, found, 4 * step
            if step > _WIDEST:
                return np.nan, -1
        else:
            low = trial
    while high - low > tolerance * high:
        middle = 0.5 * (low + high)
        if (found := first_spike(middle)) >= 0:
            high, site = middle, found
        else:
            low = middle
    return high, site


def neuron_thresholds(
    tested: CellUnderTest,
    potential_mV: np.ndarray,
    near: np.ndarray,
    waveform: np.ndarray,
    dt_ms: float,
    *,
    coupling: str = "injection",
    calcium: bool = False,
    tolerance: float = FINE,
    spread: float = 5e-5,
) -> tuple[np.ndarray, np.ndarray]:
    """NEURON's thresholds (N,) and sites (N,) for potentials (N, M), searched about ``near`` (N,)."""
    found = []
    with NeuronCell(tested.model, coupling, calcium) as cell:

        def first_spike(amplitude: float) -> int:
            run = cell.run(amplitude, waveform, dt_ms, whole_window=False)
            return run.site if run.crossings >= CROSSINGS else -1

        for potential, guess in zip(potential_mV, near, strict=True):
            cell.set_potential(potential)
            found.append(threshold_near(first_spike, guess, tolerance=tolerance, spread=spread))
    return np.array([value for value, _ in found]), np.array([site for _, site in found])


def way_between(compartments: Compartments, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Way (N,) um along the tree between compartments; infinite where one is -1."""
    way = np.full(len(first), np.inf)
    for number, (one, other) in enumerate(zip(first, second, strict=True)):
        if min(one, other) < 0:
            continue
        total = compartments.path[one] + compartments.path[other]
        # Parents come before their children, so the later of the two is never an ancestor of the other.
        while one != other:
            one, other = (compartments.parent[one], other) if one > other else (one, compartments.parent[other])
        way[number] = total - 2 * compartments.path[one]
    return way


def relative_difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest |found / expected - 1|; infinite where a value is missing."""
    difference = np.abs(np.asarray(found) / np.asarray(expected) - 1)
    return float(np.where(np.isfinite(difference), difference, np.inf).max())


def against_neuron(tested: CellUnderTest, waveform: np.ndarray, dt_ms: float, extracellular: int) -> list[dict]:
    """Engine, NEURON with equivalent currents and NEURON with ``extracellular`` (some fields), at equal time step."""
    name, fields = tested.cell.cell_type, len(tested.coefficients)
    potential = tested.potentials()
    engine = find_thresholds(tested.compartments, potential, waveform, dt_ms, tolerance=FINE, rest_mV=tested.rest_mV)
    injection, site = neuron_thresholds(tested, potential, engine.threshold, waveform, dt_ms)
    # One uniform field, then one that is not, and so on.
    some = np.arange(fields).reshape(2, -1).T.ravel()[:extracellular]
    outside, _ = neuron_thresholds(tested, potential[some], injection[some], waveform, dt_ms, coupling="extracellular")
    calcium, _ = neuron_thresholds(tested, potential[some], injection[some], waveform, dt_ms, calcium=True, spread=2e-4)
    half = fields // 2
    kinds = f"{half} uniform and {half} other fields"
    neuron = f"NEURON 9 with equivalent axial currents, equal time step; brackets are {FINE:g} wide"
    return [
        check(
            f"{name}: engine against NEURON, largest difference of thresholds in {kinds}",
            relative_difference(engine.threshold, injection),
            0.0,
            1e-3,
            source=neuron,
        ),
        check(
            f"{name}: way between the first spikes of engine and NEURON along the axon, um, largest of the same fields",
            float(way_between(tested.compartments, engine.site, site).max()),
            0.0,
            SAME_SITE_UM,
            source=f"{neuron}; neighbours cross 0 mV in one step, the very same compartment is first in "
            f"{int(np.sum(engine.site == site))} of {fields}",
        ),
        check(
            f"{name}: equivalent currents against extracellular, largest difference of {len(some)} thresholds",
            relative_difference(injection[some], outside),
            0.0,
            5e-4,
            source=f"NEURON's mechanism extracellular, equal time step; brackets are {FINE:g} wide",
        ),
        check(
            f"{name}: calcium channels left out, largest change of {len(some)} thresholds",
            relative_difference(calcium, injection[some]),
            0.0,
            1e-3,
            source="NEURON with calcium and SK channels and calcium dynamics",
        ),
    ]


def gate_table(cells: Sequence[Cell]) -> list[dict]:
    """Minimum, median and maximum over the gate's directions beside the published cells' ranges, type by type."""
    checks = []
    statistics = {"minimum": np.nanmin, "median": np.nanmedian, "maximum": np.nanmax}
    for kind in CELL_TYPES:
        synthetic = [cell for cell in cells if cell.cell_type == kind and cell.source == "synthetic"]
        real = [cell for cell in cells if cell.cell_type == kind and cell.source != "synthetic"]
        for label, some in [("synthetic cells", synthetic), *((cell.name, [cell]) for cell in real)]:
            for statistic, of in statistics.items():
                if some:
                    values = np.array([of(cell.gate) for cell in some])
                    checks.append(_beside_published(f"{kind}, {label}", statistic, values, kind))
    grown = [cell for cell in cells if cell.source == "synthetic"]
    if grown:
        rejected = sum(cell.rejected for cell in grown)
        checks.append(
            check(
                f"synthetic cells within the gate, share ({rejected} of {rejected + len(grown)} grown cells rejected)",
                float(np.mean([passes_gate(cell.gate)[0] for cell in grown])),
                1.0,
                0.0,
                source="minimum 140-350, median 200-420 V/m, largest over smallest 1.5-4; fixed before any was grown",
            )
        )
    return checks


def _beside_published(label: str, statistic: str, values: np.ndarray, kind: str) -> dict:
    low, high = PUBLISHED_V_PER_M[kind][statistic]
    within = (low <= values) & (values <= high)
    own = f"{values.min():.0f} to {values.max():.0f}, {within.sum()} of {len(values)} in range"
    return check(
        f"{label}: {statistic} threshold over 398 directions, V/m" + (f" ({own})" if len(values) > 1 else ""),
        float(np.median(values)),
        f"{low} to {high}",
        "every cell in range" if len(values) > 1 else "in range",
        passed=bool(within.all()),
        source="range over five published cells (TMSsim_Aberra2019)",
    )


def initiation(found: SimulatedThresholds, cells: Sequence[Cell]) -> list[dict]:
    """Share of the run's spikes that start in the axon's membrane within `NEAR_TERMINAL_UM` of a terminal."""
    there = np.isfinite(found.threshold)
    axonal = np.isin(found.site_kind, _AXON_KINDS) | (found.site_to_terminal_um == 0)
    near = axonal & (found.site_to_terminal_um <= NEAR_TERMINAL_UM)
    types = np.array([cell.cell_type for cell in cells])[found.cell]
    checks = []
    for kind in CELL_TYPES:
        here = there & (types == kind)
        if not here.any():
            continue
        way = found.site_to_terminal_um[here]
        checks.append(
            check(
                f"{kind}: spikes that start in the axon within {NEAR_TERMINAL_UM:g} um of a terminal, share of "
                f"{int(here.sum()):,}",
                float(near[here].mean()),
                f"at least {LEAST_SHARE_NEAR:g}",
                "one-sided",
                passed=bool(near[here].mean() >= LEAST_SHARE_NEAR),
                source="published simulations: at axon terminals (Aberra et al. 2020, recalled). Here "
                f"{np.mean(way <= NEAR_TERMINAL_UM):.1%} start that near in any compartment, "
                f"{np.mean(axonal[here]):.1%} in nodes, bare axon or the last one; of neighbours that cross 0 mV in "
                "one step the engine names the one nearest to the soma, often myelin beside a node",
            )
        )
    return checks
