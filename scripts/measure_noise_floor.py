"""Measure the injury model's noise floor: held-out profiles against the same profiles scaled by half a per cent or so.

No surrogate can be asked to agree with one run better than a second run on practically the same history does.
"""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.config import Injury
from understudy.axon.farmed_axons import farm_axons
from understudy.axon.files import read_samples
from understudy.axon.layouts import combine_layouts, target_names
from understudy.errors import InputError
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage
from understudy.surrogate.metrics import nrmse, r2

BLOCK = 8


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="measure_noise_floor",
        study="axon",
        inputs={"config": arguments.config, "samples": arguments.samples},
        outputs={"floor": arguments.floor},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        injury = Injury(**stage["injury"])
        scale = stage["sampling"]["noise_floor_scale"]
        samples = read_samples(arguments.samples)
        random = np.flatnonzero((samples.split == "heldout") & (samples.subset == "random"))
        sets = {
            "random": random[: stage["sampling"]["noise_floor_profiles"]],
            "worst_case": np.flatnonzero(samples.subset == "worst_case"),
        }
        if len(sets["random"]) < 2:
            raise InputError(
                f"{arguments.samples}: found {len(random)} random held-out profiles; accepted are at least 2"
            )
        rows = np.concatenate(list(sets.values()))
        # Each profile runs with its history scaled down, as it is, and scaled up.
        factors = (1 - scale, 1.0, 1 + scale)
        farmed = farm_axons(
            this,
            np.concatenate([factor * samples.strain[rows].astype(float) for factor in factors]),
            [reference_geometry(injury), *layout_set(injury, stage["seed"])],
            injury,
            block=BLOCK,
            label="noise floor",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            low, middle, high = combine_layouts(farmed.outputs).reshape(3, len(rows), -1)
            starts = np.cumsum([0, *(len(part) for part in sets.values())])
            floors = {}
            for name, start, end in zip(sets, starts, starts[1:], strict=False):
                part = slice(start, end)
                truth, rerun = np.concatenate([middle[part]] * 2), np.concatenate([low[part], high[part]])
                floors[name] = {
                    target: {
                        "r2": r2(truth[:, column], rerun[:, column]),
                        "nrmse": nrmse(truth[:, column], rerun[:, column]),
                    }
                    for column, target in enumerate(target_names())
                }
            content = {
                "study": "axon",
                "profiles": len(sets["random"]),
                "scale": scale,
                "targets": floors["random"],
                "worst_case": floors["worst_case"],
            }
            this.job.temporary("floor").write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")
            this.job.note("farm", dataclasses.asdict(farmed.summary))


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--samples", type=Path, required=True)
    arguments.add_argument("--floor", type=Path, required=True)
    main(run, arguments)
