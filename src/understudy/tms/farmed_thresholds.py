"""Thresholds of placed cells over MPI ranks: fields sampled along each cell, the engine, and the surrogate's inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from understudy.errors import InputError
from understudy.farm.cases import FarmSummary, run_cases
from understudy.farm.claims import Block
from understudy.farm.shards import Failure, read_cases
from understudy.farm.stage import Stage
from understudy.tms.cell_model import build_compartments
from understudy.tms.config import Engine, Pulses
from understudy.tms.field_basis import basis
from understudy.tms.field_cube import cube_inputs, cube_points
from understudy.tms.field_sampling import CellPose, cell_frame_samples, quasi_potentials
from understudy.tms.fields import Field
from understudy.tms.files import Cell, PlacedCells
from understudy.tms.pulse_choice import DELAY_MS, RESPONSE_DT_MS, response_waveform, study_pulses
from understudy.tms.pulses import Pulse
from understudy.tms.terminal_features import (
    TerminalResponse,
    context_of,
    lone_terminal_threshold,
    terminal_inputs,
    terminal_response,
)
from understudy.tms.threshold_engine import find_thresholds, resting_state
from understudy.tms.thresholds import Thresholds

# Cases of one cell that share a block: enough to keep all lanes of the kernel busy until its end.
BLOCK = 96


@dataclass(frozen=True)
class Cases:
    """What is simulated: N cells in fields, in the order of their numbers.

    Attributes
    ----------
    cell : (N,) number of the cell.
    placement : (N,) number of the field.
    pulse : (N,) index into the pulses.
    pose : N placements of a cell.
    """

    cell: np.ndarray
    placement: np.ndarray
    pulse: np.ndarray
    pose: CellPose

    def __len__(self) -> int:
        return len(self.cell)


def placed_cases(samples: PlacedCells) -> Cases:
    """The cases of ``samples.h5``."""
    pose = CellPose(samples.position_mm, samples.normal, samples.azimuth_rad)
    return Cases(samples.cell, samples.placement, samples.pulse, pose)


def case_blocks(cases: Cases, sizes: Sequence[int], block: int = BLOCK) -> list[Block]:
    """Blocks of one cell and one pulse, neighbours sharing a field; the cost goes with the cells' sizes (cells,)."""
    order = np.lexsort((cases.placement, cases.pulse, cases.cell))
    kind = np.stack([cases.cell[order], cases.pulse[order]], axis=1)
    starts = np.flatnonzero(np.r_[True, (kind[1:] != kind[:-1]).any(axis=1)])
    blocks: list[Block] = []
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        for low in range(start, end, block):
            rows = order[low : min(low + block, end)]
            cost = float(sizes[cases.cell[rows[0]]] * len(rows))
            blocks.append(Block(len(blocks), tuple(int(row) for row in rows), cost))
    return blocks


class ThresholdSimulator:
    """One rank's engine: cable models, resting states and linear responses are made once for each cell and pulse."""

    def __init__(
        self,
        cells: Sequence[Cell],
        pulses: Mapping[str, Pulse],
        engine: Engine,
        segment_um: float,
        library: Path | None = None,
    ):
        self.cells, self.pulses, self.engine = cells, list(pulses.values()), engine
        self.models = [build_compartments(cell.morphology, cell.cell_type, segment_um=segment_um) for cell in cells]
        self.sizes = [len(model.compartments) for model in self.models]
        self.dt_ms = 1e-3 * engine.dt_us
        self.waveforms = [pulse.steps(self.dt_ms, engine.window_ms, DELAY_MS) for pulse in self.pulses]
        self.rest = lru_cache(maxsize=4)(lambda cell: resting_state(self.models[cell].compartments))
        self.response = lru_cache(maxsize=4)(self._response)
        self.reference = None
        if engine.name == "neuron":
            # Imported here: a machine without NEURON runs the batched engine.
            from understudy.tms.neuron_reference import find_thresholds as reference
            from understudy.tms.neuron_reference import load_mechanisms

            if library is None:
                raise InputError("engine.name: found neuron, but no compiled mechanisms; accepted is their library")
            load_mechanisms(library)
            self.reference = reference

    def _response(self, cell: int, pulse: int) -> TerminalResponse:
        compartments = self.models[cell].compartments
        waveform = response_waveform(self.pulses[pulse])
        return terminal_response(compartments, waveform, RESPONSE_DT_MS, rest_mV=self.rest(cell))

    def context(self, cell: int) -> np.ndarray:
        """Context scalars (C,) of a cell."""
        return context_of(self.cells[cell].cell_type)

    def thresholds(self, cell: int, pulse: int, potential: np.ndarray, guess: np.ndarray | None = None) -> Thresholds:
        """Thresholds of one cell for quasi-potentials (n, M) and one pulse."""
        engine = self.engine
        options = {"tolerance": engine.tolerance, "guess": guess, "limit": engine.limit_V_per_m}
        if self.reference is not None:
            return self.reference(self.models[cell], potential, self.waveforms[pulse], self.dt_ms, **options)
        compartments = self.models[cell].compartments
        return find_thresholds(
            compartments,
            potential,
            self.waveforms[pulse],
            self.dt_ms,
            order=engine.order,
            precision=engine.precision,
            rest_mV=self.rest(cell),
            **options,
        )


def study_simulator(
    stage: Mapping[str, Any], cells: Sequence[Cell], pulse_files: Sequence[Path], library: Path
) -> ThresholdSimulator:
    """The simulator that a stage's values ask for."""
    pulses = study_pulses(Pulses(**stage["pulses"]), *pulse_files)
    return ThresholdSimulator(cells, pulses, Engine(**stage["engine"]), stage["cells"]["segment_um"], library)


def sampled(
    simulator: ThresholdSimulator,
    cases: Cases,
    rows: np.ndarray,
    field_of: Callable[[int], Field],
    *,
    with_cube: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Quasi-potentials (n, M) and fields at the soma (n, 3), in the cell's frame, of rows of one cell; and the field
    on the published network's cube (n, 729, 3), NaN where it is not known or not asked for."""
    cell = int(cases.cell[rows[0]])
    compartments = simulator.models[cell].compartments
    offsets = cube_points(simulator.cells[cell].cell_type)
    potential = np.empty((len(rows), len(compartments)))
    centre, cube = np.empty((len(rows), 3)), np.full((len(rows), len(offsets), 3), np.nan)
    for placement in np.unique(cases.placement[rows]):
        here = np.flatnonzero(cases.placement[rows] == placement)
        field, poses = field_of(int(placement)), cases.pose.part(rows[here])
        found = quasi_potentials(field, compartments, poses)
        potential[here], centre[here] = found.potential, found.centre_field
        if with_cube:
            cube[here] = cell_frame_samples(field, offsets, poses)[0]
    return potential, centre, cube


def filled_cube(cube: np.ndarray, offsets_um: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cubes (n, G, 3) over |E| at the soma without gaps, and the coefficients (n, 26) that fill them.

    Places outside the tissue have no field; there the divergence-free polynomial that fits the rest stands in for it,
    so that no case is lost to the published network and to the baselines.
    """
    filled = cube / np.linalg.norm(centre, axis=1)[:, None, None]
    known = np.isfinite(filled).all(axis=2)
    values = basis(1e-3 * offsets_um)
    coefficients = np.empty((len(cube), values.shape[2]))
    for n, there in enumerate(known):
        here = values[there].reshape(-1, values.shape[2])
        coefficients[n] = np.linalg.lstsq(here, filled[n, there].ravel(), rcond=None)[0]
        filled[n, ~there] = values[~there] @ coefficients[n]
    return filled, coefficients


@dataclass(frozen=True)
class FarmedThresholds:
    """What the farm returns: arrays by name (N, ...) on the first rank, None elsewhere; NaN where a case failed.

    Attributes
    ----------
    values : threshold (N,) V/m, site (N,), time_ms (N,), runs (N,), and where asked for inputs (N, F, K), centre_field
        (N, 3) V/m for 1 A/us, coefficients (N, 26), cube (N, 3, 9, 9, 9) and cube_strength (N,), the magnitude at
        the cube's centre over that at the soma.
    failed : (N,) reason or empty.
    """

    values: dict[str, np.ndarray] | None
    failed: np.ndarray | None
    summary: FarmSummary


def farm_thresholds(
    stage: Stage,
    simulator: ThresholdSimulator,
    cases: Cases,
    field_of: Callable[[int], Field],
    *,
    label: str,
    with_inputs: bool,
    largest_failed: int = 0,
    recompute: bool = False,
    describe: Callable[[int], str] | None = None,
) -> FarmedThresholds:
    """Thresholds of all cases. Collective: every rank calls it with the same arguments.

    Parameters
    ----------
    field_of : the field of a placement, V/m for 1 A/us.
    with_inputs : sample also what surrogates are given.
    label, largest_failed, recompute, describe : as for `understudy.farm.cases.run_cases`.
    """

    def simulate(numbers: Sequence[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        rows = np.asarray(numbers)
        cell, pulse = int(cases.cell[rows[0]]), int(cases.pulse[rows[0]])
        potential, centre, cube = sampled(simulator, cases, rows, field_of, with_cube=with_inputs)
        inputs = terminal_inputs(simulator.response(cell, pulse), potential)
        guess = lone_terminal_threshold(inputs, simulator.engine.limit_V_per_m)
        found = simulator.thresholds(cell, pulse, potential, guess)
        named = {"threshold": found.threshold, "site": found.site, "time_ms": found.time_ms, "runs": found.runs}
        if with_inputs:
            offsets = cube_points(simulator.cells[cell].cell_type)
            filled, coefficients = filled_cube(cube, offsets, centre)
            named["inputs"] = inputs
            named["centre_field"], named["coefficients"] = centre, coefficients
            named["cube"], named["cube_strength"] = cube_inputs(filled)
        for n, case in enumerate(numbers):
            if not found.found[n]:
                limit = simulator.engine.limit_V_per_m
                named["threshold"][n] = np.inf
                print(f"{label}: case {case} ({describe(case) if describe else ''}) does not fire up to {limit:g} V/m")
            yield case, {name: np.asarray(values[n]) for name, values in named.items()}

    options = {} if describe is None else {"describe": describe}
    summary = run_cases(
        stage.comm,
        folder=stage.folder,
        key=stage.key,
        blocks=case_blocks(cases, simulator.sizes),
        simulate=simulate,
        label=label,
        largest_failed=largest_failed,
        numbers=("threshold",),
        recompute=recompute,
        # Inputs of a block come from one matrix product, whose rounding depends on its size.
        coupled=True,
        **options,
    )
    if stage.job is None:
        return FarmedThresholds(None, None, summary)
    return _collected(stage, len(cases), simulator.engine, summary)


def _collected(stage: Stage, count: int, engine: Engine, summary: FarmSummary) -> FarmedThresholds:
    values: dict[str, np.ndarray] = {}
    failed = np.full(count, "", dtype=object)
    for case, found in read_cases(stage.folder, stage.key).items():
        if isinstance(found, Failure):
            failed[case] = found.reason
            continue
        for name, value in found.items():
            if name not in values:
                kind = value.dtype if value.dtype.kind == "f" else np.int64
                values[name] = np.full((count, *value.shape), np.nan if value.dtype.kind == "f" else -1, dtype=kind)
            values[name][case] = value
        if not np.isfinite(found["threshold"]):
            failed[case] = f"no threshold up to {engine.limit_V_per_m:g} V/m"
    return FarmedThresholds(values, failed, summary)
