"""Map thresholds over the cortex of a hemisphere by the surrogate: every vertex, layer, clone and azimuth, timed."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from functools import partial
from pathlib import Path

import numpy as np

from understudy.provenance.arguments import main, parser
from understudy.provenance.job import job
from understudy.settings import read_stage
from understudy.surrogate.device import choose_device
from understudy.surrogate.model_file import read_model
from understudy.tms.coils import placed, primary_field
from understudy.tms.conduction import primary_at_voxels
from understudy.tms.config import Coil, Conductivity, Head, Maps, Pulses, SecondHead
from understudy.tms.cortex import Cortex, layer_positions
from understudy.tms.field_sampling import CellPose, quasi_potentials
from understudy.tms.fields import GridField
from understudy.tms.files import (
    Placement,
    ThresholdMap,
    open_thresholds,
    read_cells,
    read_placements,
    write_threshold_map,
)
from understudy.tms.local_field import tissue_field
from understudy.tms.prediction import CellPredictor
from understudy.tms.pulse_choice import study_pulses
from understudy.tms.study_heads import TRAINED_HEAD, study_coil, study_cortex, study_head
from understudy.tms.surrogate import SURROGATE

# Cases worked on at a time: their potentials stay in the cache of a core.
_PIECE = 512


def hemisphere_field(placement: Placement, stage: dict, coil_file: list[Path]) -> tuple[GridField, float]:
    """The field of one placement in the whole head at the voxels of the head, and the seconds that its solve takes."""
    # The second head plays no part, but its section is where its defaults stand.
    head = study_head(
        TRAINED_HEAD, Head(**stage["head"]), Conductivity(**stage["conductivity"]), SecondHead(), stage["seed"]
    )
    coil = study_coil(Coil(**stage["coil"]), *coil_file)
    solver = head.solver()
    start = time.perf_counter()
    primary = primary_at_voxels(solver, partial(primary_field, coil, placement.pose), placed(coil, placement.pose)[0])
    field = tissue_field(solver, solver.solve(primary))
    return field, time.perf_counter() - start


class Mapper:
    """Predictions of all cells over a surface, with the time that each step takes."""

    def __init__(self, predictor: CellPredictor, field: GridField, cortex: Cortex, azimuths: int, device: str):
        self.predictor, self.field, self.cortex, self.device = predictor, field, cortex, device
        self.angles = 2 * np.pi * np.arange(azimuths) / azimuths
        self.seconds = {"field_sampling_s": 0.0, "features_s": 0.0, "network_s": 0.0}

    def _clock(self, name: str, start: float) -> float:
        now = time.perf_counter()
        self.seconds[name] += now - start
        return now

    def cell(self, number: int, vertices: np.ndarray) -> dict[str, np.ndarray]:
        """Mean, relative width, flag and field strength (vertices, azimuths) of a cell; NaN where there is no field."""
        what = self.predictor.cells[number]
        position = layer_positions(self.cortex, what.cell_type)[vertices]
        normal = self.cortex.normals[vertices]
        turns = len(self.angles)
        pose = CellPose(
            np.repeat(position, turns, axis=0), np.repeat(normal, turns, axis=0), np.tile(self.angles, len(vertices))
        )
        found = {name: np.full(len(pose), np.nan) for name in ("mean", "width", "flagged", "strength")}
        inputs, context, known = [], [], []
        for start in range(0, len(pose), _PIECE):
            part = slice(start, start + _PIECE)
            clock = time.perf_counter()
            sampled = quasi_potentials(self.field, self.predictor.models[number], pose.part(part), dtype=np.float32)
            good = np.isfinite(sampled.potential).all(axis=1) & sampled.inside[:, 0]
            found["strength"][part] = np.where(good, np.linalg.norm(sampled.centre_field, axis=1), np.nan)
            clock = self._clock("field_sampling_s", clock)
            made = self.predictor.inputs(number, sampled.potential[good])
            inputs.append(made[0])
            context.append(made[1])
            known.append(good)
            self._clock("features_s", clock)
        clock = time.perf_counter()
        rows = np.concatenate(known)
        predicted = self.predictor.predict(np.concatenate(inputs), np.concatenate(context), device=self.device)
        self._clock("network_s", clock)
        found["mean"][rows] = predicted.mean[:, 0]
        found["width"][rows] = (predicted.upper[:, 0] - predicted.lower[:, 0]) / predicted.mean[:, 0]
        found["flagged"][rows] = predicted.flagged
        return {name: values.reshape(len(vertices), turns) for name, values in found.items()}


def medians(mapper: Mapper, vertices: np.ndarray, types: tuple[str, ...]) -> tuple[dict[str, np.ndarray], int, int]:
    """Medians over clones and azimuths (types, vertices) by name, number of predictions and of cases left out."""
    columns = {name: [] for name in ("median_A_per_us", "median_V_per_m", "interval_width", "flagged", "strength")}
    count = outside = 0
    for cell_type in types:
        of_type = []
        for number, cell in enumerate(mapper.predictor.cells):
            if cell.cell_type == cell_type:
                of_type.append(mapper.cell(number, vertices))
                done = np.isfinite(of_type[-1]["mean"])
                count, outside = count + int(done.sum()), outside + int((~done).sum())
                print(f"{cell.name}: {done.sum():,} predictions", flush=True)
        stacked = {name: np.concatenate([one[name] for one in of_type], axis=1) for name in of_type[0]}
        known = np.isfinite(stacked["mean"]).any(axis=1)
        for name, values in (
            ("median_A_per_us", stacked["mean"] / stacked["strength"]),
            ("median_V_per_m", stacked["mean"]),
            ("interval_width", stacked["width"]),
            ("strength", stacked["strength"]),
        ):
            column = np.full(len(vertices), np.nan)
            column[known] = np.nanmedian(values[known], axis=1)
            columns[name].append(column)
        share = np.full(len(vertices), np.nan)
        share[known] = np.nanmean(stacked["flagged"][known], axis=1)
        columns["flagged"].append(share)
    return {name: np.stack(values) for name, values in columns.items()}, count, outside


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    maps = Maps(**stage["maps"])
    names = ("config", "cells", "placements", "models", "thresholds", "pulse", "coil")
    with job(
        program="map_thresholds",
        study="tms",
        inputs={name: getattr(arguments, name) for name in names},
        outputs={"map": arguments.map, "deployment": arguments.deployment},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        cells, _ = read_cells(arguments.cells)
        placements, _ = read_placements(arguments.placements)
        # The hand knob is the first held-out patch.
        placement = next(one for one in placements if one.role == "heldout")
        pulse = next(iter(study_pulses(Pulses(**stage["pulses"]), *arguments.pulse).values()))
        predictor = CellPredictor(read_model(arguments.models, SURROGATE), cells, pulse, stage["cells"]["segment_um"])
        field, solve_s = hemisphere_field(placement, stage, arguments.coil)
        cortex = study_cortex(TRAINED_HEAD, stage["placements"]["hemisphere"], SecondHead(), stage["seed"])
        mapper = Mapper(predictor, field, cortex, maps.azimuths, arguments.device)
        vertices = np.flatnonzero(cortex.is_cortex)[:: maps.vertex_step]
        # What is made once for a cell, and what is compiled, is not the cost of a prediction.
        mapper.cell(0, vertices[:8])
        setup = time.perf_counter()
        for number in range(len(cells)):
            predictor.response(number)
        setup_s = time.perf_counter() - setup
        mapper.seconds = dict.fromkeys(mapper.seconds, 0.0)
        types = tuple(dict.fromkeys(cell.cell_type for cell in cells))
        found, count, outside = medians(mapper, vertices, types)
        everywhere = {name: np.full((len(types), len(cortex.white)), np.nan) for name in found}
        for name, values in found.items():
            everywhere[name][:, vertices] = values
        write_threshold_map(
            this.temporary("map"),
            ThresholdMap(
                points_mm=cortex.at_depth(0.5), triangles=cortex.faces, types=types, pose=placement.pose, **everywhere
            ),
        )
        with open_thresholds(arguments.thresholds) as simulated:
            direct = float(simulated.attributes["cpu_s_per_threshold"])
        seconds = sum(mapper.seconds.values())
        flagged = everywhere["flagged"][np.isfinite(everywhere["flagged"])]
        deployment = {
            "n": count,
            "seconds": seconds,
            "seconds_per_case": seconds / count,
            **mapper.seconds,
            "setup_s": setup_s,
            "solve_s": solve_s,
            "seconds_per_case_direct": direct if np.isfinite(direct) else None,
            "threads": 1,
            "device": str(choose_device(arguments.device)),
            "placement": placement.name,
            "cells": len(cells),
            "azimuths": maps.azimuths,
            "vertices": len(vertices),
            "outside": outside,
            "flagged_share": float(flagged.mean()) if len(flagged) else None,
        }
        this.temporary("deployment").write_text(json.dumps(deployment, indent=2, sort_keys=True) + "\n")
        each = 1e3 * seconds / count
        print(f"threshold map: {count:,} predictions in {seconds:.1f} s on one thread, {each:.2f} ms each")


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the networks run")
    for name in ("config", "cells", "placements", "models", "thresholds", "map", "deployment"):
        arguments.add_argument(f"--{name}", type=Path, required=True)
    arguments.add_argument("--pulse", type=Path, nargs="*", default=[], help="CSV file of the pulse called file")
    arguments.add_argument("--coil", type=Path, nargs="*", default=[], help="the .ccd file of the coil")
    main(run, arguments)
