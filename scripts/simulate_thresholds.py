"""Simulate activation thresholds under MPI: every placed cell in its field, with what surrogates are given."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.dataset import Field, write_ground_truth
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.tms.farmed_thresholds import (
    FarmedThresholds,
    ThresholdSimulator,
    farm_thresholds,
    placed_cases,
    study_simulator,
)
from understudy.tms.files import (
    PlacedCells,
    SimulatedThresholds,
    open_fields,
    read_cells,
    read_placements,
    read_samples,
    write_thresholds,
)
from understudy.tms.initiation import distance_to_terminal
from understudy.tms.terminal_features import CHANNELS, CONTEXT
from understudy.tms.thresholds import TARGET


def write_dataset(
    path: Path, simulator: ThresholdSimulator, samples: PlacedCells, farmed: FarmedThresholds, groups: list[str]
) -> None:
    """The ground-truth file: what the network is given and the threshold."""
    context = np.array([simulator.context(number) for number in range(len(simulator.cells))])[samples.cell]
    threshold = farmed.values["threshold"]
    write_ground_truth(
        path,
        study="tms",
        inputs=farmed.values["inputs"],
        targets=np.where(np.isfinite(threshold), threshold, np.nan)[:, None],
        case=np.arange(len(samples)),
        group=samples.placement,
        split=samples.split,
        subset=samples.subset,
        failed=farmed.failed,
        channels=CHANNELS,
        target_fields=[Field(TARGET, "V/m")],
        group_names=groups,
        input_step=1.0,
        input_step_unit="terminals",
        context=context,
        context_fields=CONTEXT,
        attributes={
            "cells": len(simulator.cells),
            "engine": simulator.engine.name,
            "dt_us": simulator.engine.dt_us,
            "headline_pulse": samples.pulses[0],
        },
    )


def simulated(simulator: ThresholdSimulator, samples: PlacedCells, farmed: FarmedThresholds) -> SimulatedThresholds:
    """What else is known of the thresholds: where spikes start, what baselines are given, what a threshold costs."""
    values = farmed.values
    found = np.isfinite(values["threshold"])
    kind, way = np.full(len(samples), -1, dtype=np.int8), np.full(len(samples), np.inf)
    for number, model in enumerate(simulator.models):
        here = np.flatnonzero(found & (samples.cell == number))
        site = values["site"][here]
        kind[here] = model.compartments.kind[site]
        way[here] = distance_to_terminal(model.compartments)[site]
    summary = farmed.summary
    cpu_s = sum(rank.cpu_s for rank in summary.ranks)
    return SimulatedThresholds(
        threshold=np.where(found, values["threshold"], np.nan),
        site_kind=kind,
        site_to_terminal_um=way,
        time_ms=values["time_ms"],
        runs=values["runs"],
        **{name: getattr(samples, name) for name in ("cell", "placement", "pulse", "vertex", "azimuth_rad")},
        split=samples.split,
        subset=samples.subset,
        centre_field=values["centre_field"],
        coefficients=values["coefficients"],
        cube_strength=values["cube_strength"],
        cube=values["cube"],
        attributes={
            "cpu_s_per_threshold": cpu_s / summary.computed if summary.computed else np.nan,
            "not_found": int((~found).sum()),
        },
    )


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="simulate_thresholds",
        study="tms",
        inputs={
            "config": arguments.config,
            "cells": arguments.cells,
            "placements": arguments.placements,
            "fields": arguments.fields,
            "samples": arguments.samples,
            "library": arguments.library,
            "pulse": arguments.pulse,
        },
        outputs={"dataset": arguments.dataset, "thresholds": arguments.thresholds},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        cells, _ = read_cells(arguments.cells)
        samples = read_samples(arguments.samples)
        placements, _ = read_placements(arguments.placements)
        simulator = study_simulator(stage, cells, arguments.pulse, arguments.library)

        def describe(case: int) -> str:
            place = placements[samples.placement[case]].name
            return f"{cells[samples.cell[case]].name}, {place}, {samples.pulses[samples.pulse[case]]}"

        with open_fields(arguments.fields) as field_of:
            farmed = farm_thresholds(
                this,
                simulator,
                placed_cases(samples),
                field_of,
                label="thresholds",
                with_inputs=True,
                largest_failed=stage["sampling"]["largest_failed"],
                recompute=arguments.recompute,
                describe=describe,
            )
        if this.job is not None:
            groups = [placement.name for placement in placements]
            write_dataset(this.job.temporary("dataset"), simulator, samples, farmed, groups)
            write_thresholds(this.job.temporary("thresholds"), simulated(simulator, samples, farmed))
            this.job.note("farm", dataclasses.asdict(farmed.summary))
            found = np.isfinite(farmed.values["threshold"])
            print(
                f"thresholds: {found.sum():,} of {len(found):,} found, median "
                f"{np.median(farmed.values['threshold'][found]):.0f} V/m, {farmed.values['runs'].mean():.1f} runs each"
            )


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    for name in ("config", "cells", "placements", "fields", "samples", "library", "dataset", "thresholds"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--pulse", type=Path, nargs="*", default=[], help="CSV file of the pulse called file")
    main(run, arguments)
