"""Measure the noise floor of thresholds: held-out cells against the same cells moved by a distance nobody could know.

No surrogate can be asked to agree with one simulation better than a second one of practically the same cell does.
"""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.farm.seeds import case_sequence
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.surrogate.metrics import nrmse, r2
from understudy.tms.farmed_thresholds import Cases, farm_thresholds, study_simulator
from understudy.tms.field_sampling import CellPose
from understudy.tms.files import PlacedCells, open_fields, read_cells, read_samples
from understudy.tms.thresholds import TARGET

# Number of this stage in spawn keys of the study (1).
_STAGE = 4


def chosen_rows(samples: PlacedCells, per_cell: int) -> np.ndarray:
    """Held-out rows, as many of each cell and evenly over them."""
    heldout = (samples.split == "heldout") & (samples.subset == "random")
    rows = []
    for cell in np.unique(samples.cell):
        here = np.flatnonzero(heldout & (samples.cell == cell))
        rows.append(here[np.linspace(0, len(here) - 1, min(per_cell, len(here))).astype(int)])
    return np.concatenate(rows)


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="measure_threshold_noise",
        study="tms",
        inputs={
            "config": arguments.config,
            "cells": arguments.cells,
            "fields": arguments.fields,
            "samples": arguments.samples,
            "library": arguments.library,
            "pulse": arguments.pulse,
        },
        outputs={"floor": arguments.floor},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        cells, _ = read_cells(arguments.cells)
        samples = read_samples(arguments.samples)
        simulator = study_simulator(stage, cells, arguments.pulse, arguments.library)
        rows = chosen_rows(samples, stage["sampling"]["noise_floor"])
        moves = np.stack(
            [np.random.default_rng(case_sequence(stage["seed"], 1, _STAGE, int(row))).normal(size=3) for row in rows]
        )
        moves *= 1e-3 * stage["sampling"]["noise_floor_um"] / np.linalg.norm(moves, axis=1, keepdims=True)
        there = samples.position_mm[rows]
        cases = Cases(
            cell=np.tile(samples.cell[rows], 2),
            placement=np.tile(samples.placement[rows], 2),
            pulse=np.tile(samples.pulse[rows], 2),
            pose=CellPose(
                np.concatenate([there, there + moves]),
                np.tile(samples.normal[rows], (2, 1)),
                np.tile(samples.azimuth_rad[rows], 2),
            ),
        )
        with open_fields(arguments.fields) as field_of:
            farmed = farm_thresholds(
                this,
                simulator,
                cases,
                field_of,
                label="threshold noise",
                with_inputs=False,
                recompute=arguments.recompute,
            )
        if this.job is not None:
            truth, moved = farmed.values["threshold"].reshape(2, len(rows))
            good = np.isfinite(truth) & np.isfinite(moved)
            truth, moved = truth[good], moved[good]
            content = {
                "study": "tms",
                "thresholds": len(truth),
                "moved_um": stage["sampling"]["noise_floor_um"],
                "targets": {TARGET: {"r2": r2(truth, moved), "nrmse": nrmse(truth, moved)}},
                "mape": float(np.mean(np.abs(moved / truth - 1))),
            }
            this.job.temporary("floor").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
            this.job.note("farm", dataclasses.asdict(farmed.summary))
            print(f"noise floor: {content['mape']:.3%} on average, R2 {content['targets'][TARGET]['r2']:.5f}")


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    for name in ("config", "cells", "fields", "samples", "library", "floor"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--pulse", type=Path, nargs="*", default=[], help="CSV file of the pulse called file")
    main(run, arguments)
