"""Map thresholds of uniform fields by direction, for every cell, under MPI: the usual approximation and a baseline."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.tms.direction_maps import map_directions
from understudy.tms.farmed_thresholds import Cases, farm_thresholds, study_simulator
from understudy.tms.field_sampling import CellPose
from understudy.tms.fields import UniformField
from understudy.tms.files import read_cells, write_directions


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="map_directions",
        study="tms",
        inputs={
            "config": arguments.config,
            "cells": arguments.cells,
            "library": arguments.library,
            "pulse": arguments.pulse,
        },
        outputs={"directions": arguments.directions},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        cells, _ = read_cells(arguments.cells)
        simulator = study_simulator(stage, cells, arguments.pulse, arguments.library)
        directions = map_directions(stage["comparison"]["direction_step_deg"])
        count = len(cells) * len(directions)
        upright = CellPose(np.zeros((count, 3)), np.tile([0.0, 0.0, 1.0], (count, 1)), np.zeros(count))
        cases = Cases(
            cell=np.repeat(np.arange(len(cells)), len(directions)),
            placement=np.tile(np.arange(len(directions)), len(cells)),
            pulse=np.zeros(count, dtype=int),
            pose=upright,
        )
        farmed = farm_thresholds(
            this,
            simulator,
            cases,
            lambda direction: UniformField(directions[direction]),
            label="directions",
            with_inputs=False,
            recompute=arguments.recompute,
            describe=lambda case: f"{cells[cases.cell[case]].name}, direction {cases.placement[case]}",
        )
        if this.job is not None:
            threshold = farmed.values["threshold"].reshape(len(cells), len(directions))
            names = [cell.name for cell in cells]
            write_directions(this.job.temporary("directions"), names, directions, threshold)
            this.job.note("farm", dataclasses.asdict(farmed.summary))


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    for name in ("config", "cells", "library", "directions"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--pulse", type=Path, nargs="*", default=[], help="CSV file of the pulse called file")
    main(run, arguments)
