"""Measure the injury model's noise floor: held-out profiles against the same profiles scaled by half a per cent or so.

No surrogate can be asked to agree with one run better than a second run on practically the same history does.
"""

from __future__ import annotations

import dataclasses
import json
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.axon_mechanics import simulate_axons
from understudy.axon.config import Injury
from understudy.axon.files import read_samples
from understudy.axon.layouts import combine_layouts, target_names
from understudy.errors import InputError
from understudy.farm.cases import run_cases
from understudy.farm.claims import fixed_blocks
from understudy.farm.shards import read_cases
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
        rows = random[: stage["sampling"]["noise_floor_profiles"]]
        if len(rows) < 2:
            raise InputError(
                f"{arguments.samples}: found {len(rows)} random held-out profiles; accepted are at least 2"
            )
        geometries = [reference_geometry(injury), *layout_set(injury, stage["seed"])]
        # Each profile runs with its history scaled down, as it is, and scaled up.
        factors = (1 - scale, 1.0, 1 + scale)
        profiles = np.concatenate([factor * samples.strain[rows].astype(float) for factor in factors])

        def simulate(cases: Sequence[int]) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
            outputs = simulate_axons(profiles[list(cases)], geometries, injury)
            for case, values in zip(cases, outputs, strict=True):
                yield case, {"outputs": values}

        blocks = fixed_blocks(range(len(profiles)), BLOCK, profiles.max(axis=1))
        summary = run_cases(
            this.comm,
            folder=this.folder,
            key=this.key,
            blocks=blocks,
            simulate=simulate,
            label="noise floor",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            found = read_cases(this.folder, this.key)
            targets = combine_layouts(np.stack([found[case]["outputs"] for case in range(len(profiles))]))
            low, middle, high = targets.reshape(3, len(rows), -1)
            truth, rerun = np.concatenate([middle, middle]), np.concatenate([low, high])
            floor = {
                name: {"r2": r2(truth[:, column], rerun[:, column]), "nrmse": nrmse(truth[:, column], rerun[:, column])}
                for column, name in enumerate(target_names())
            }
            text = json.dumps(
                {"study": "axon", "profiles": len(rows), "scale": scale, "targets": floor}, indent=2, sort_keys=True
            )
            this.job.temporary("floor").write_text(text + "\n")
            this.job.note("farm", dataclasses.asdict(summary))


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--samples", type=Path, required=True)
    arguments.add_argument("--floor", type=Path, required=True)
    main(run, arguments)
