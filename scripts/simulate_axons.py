"""Simulate axons under MPI: the injury model on every sampled profile, in the reference and the common layouts."""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

import numpy as np

from understudy.axon.axon_geometry import layout_set, reference_geometry
from understudy.axon.config import Injury
from understudy.axon.farmed_axons import farm_axons, write_axon_ground_truth
from understudy.axon.files import read_samples
from understudy.farm.stage import farmed_job
from understudy.provenance.arguments import main, parser
from understudy.settings import read_stage

# Profiles per unit of work and of resume.
BLOCK = 16


def run(arguments: Namespace) -> None:
    stage = read_stage(arguments.config)
    with farmed_job(
        arguments.ranks,
        program="simulate_axons",
        study="axon",
        inputs={"config": arguments.config, "samples": arguments.samples},
        outputs={"dataset": arguments.dataset},
        code=arguments.code,
        parameters=stage,
        seed=stage["seed"],
        overwrite=arguments.overwrite,
    ) as this:
        injury = Injury(**stage["injury"])
        samples = read_samples(arguments.samples)
        farmed = farm_axons(
            this,
            samples.strain,
            [reference_geometry(injury), *layout_set(injury, stage["seed"])],
            injury,
            block=BLOCK,
            label="axons",
            largest_failed=stage["sampling"]["largest_failed"],
            describe=lambda case: f"{samples.labels[samples.impact[case]]}, voxel {samples.voxel[case]}",
            recompute=arguments.recompute,
        )
        if this.job is not None:
            write_axon_ground_truth(
                this.job.temporary("dataset"),
                samples,
                np.arange(len(samples.strain)),
                farmed,
                {"worst_case_sha256": samples.worst_case_sha256},
            )
            this.job.note("farm", dataclasses.asdict(farmed.summary))


if __name__ == "__main__":
    arguments = parser(__doc__, farm=True)
    arguments.add_argument("--config", type=Path, required=True)
    arguments.add_argument("--samples", type=Path, required=True)
    arguments.add_argument("--dataset", type=Path, required=True)
    main(run, arguments)
